//! The `callslip` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    callslip::cli::run()
}
