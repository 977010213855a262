//! The application on a socket, behind the server that it really has.

use callslip::http::server::{Leave, Server, Settings};
use tokio::net::TcpListener;

use super::TestApp;

impl TestApp {
    /// Answer on a listener for the rest of the test.
    pub fn serve(&self, listener: TcpListener) {
        let settings = Settings::for_this_process(1000, [].into());
        let server = Server::new(settings, self.app.draining.clone());
        let router = self.app.router.clone();
        tokio::spawn(server.serve(listener, router, std::future::pending::<Leave>()));
    }
}
