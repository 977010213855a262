//! The `callslip` program with the tools of MCP's conformance suite beside its own, for
//! `tests/clients/conformance`.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else: the child that reads files has no business with configuration.
    if std::env::args().nth(1).as_deref() == Some("extract") {
        return callslip::documents::extract::child_main();
    }
    callslip::cli::run()
}
