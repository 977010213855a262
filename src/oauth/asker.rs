//! Who asks, as the pages say it (spec rows C-02, C-06).

use super::{
    client::{Client, Source},
    client_document, client_name,
    redirect_uri::ReturnPath,
};

/// A client in front of a person. Everything in it is safe to show.
pub(super) struct Asker {
    pub(super) name: String,
    /// Whether that is its address, in place of a name that cannot be shown.
    pub(super) is_address: bool,
    /// The host that publishes what the client says of itself.
    pub(super) host: Option<String>,
    /// Whether that host is known to be the name's.
    pub(super) is_verified: bool,
    /// What a person should know before trusting the name.
    pub(super) warning: Option<&'static str>,
}

impl Asker {
    pub(super) fn of(client: &Client, to: &ReturnPath) -> Self {
        let is_verified = client_document::is_well_known(&client.client_id);
        let warning = client_name::warning(&client.client_name, &to.host(), to.is_on_device());
        Self {
            name: client.client_name.clone(),
            is_address: client.client_name == to.host(),
            host: host(client),
            is_verified,
            warning: warning.filter(|_| !is_verified),
        }
    }
}

/// Where the client's document is, if it has one: its `client_id` is the address.
fn host(client: &Client) -> Option<String> {
    if client.source != Source::Document {
        return None;
    }
    let url = url::Url::parse(&client.client_id).ok()?;
    url.host_str().map(str::to_owned)
}
