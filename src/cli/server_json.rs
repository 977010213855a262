//! `callslip server-json`

use super::{Stop, context};
use crate::{mcp::Cards, oauth::resource::Resources};

/// What to publish.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The short name of the tenant whose URL to publish; without it, the URL at which people pick
    /// theirs.
    #[arg(long)]
    tenant: Option<String>,
    /// The name in the registry, such as io.github.you/callslip; made of the public URL's host
    /// otherwise.
    #[arg(long)]
    name: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<(), Stop> {
    let config = context::configuration()?;
    if !config.public_url.is_https() {
        let url = config.public_url.as_str();
        return Err(Stop(format!(
            "the registry takes servers that everybody can reach, and CALLSLIP_PUBLIC_URL is {url}"
        )));
    }
    let path = match &args.tenant {
        Some(slug) => format!("/t/{slug}/mcp"),
        None => "/mcp".to_owned(),
    };
    let resource = Resources::at_path(&path)
        .ok_or_else(|| Stop("--tenant takes the tenant's short name, such as acme".to_owned()))?;
    if args.name.as_deref().is_some_and(|name| !is_name(name)) {
        return Err(Stop("--name takes a name such as io.github.you/callslip".to_owned()));
    }
    let entry = Cards::new(&config.public_url).registry_entry(&resource, args.name.as_deref());
    println!("{entry:#}");
    Ok(())
}

/// As the registry checks it: a namespace of dotted labels, a slash, and the server's name.
fn is_name(name: &str) -> bool {
    let Some((namespace, server)) = name.split_once('/') else { return false };
    let made_of = |text: &str, more: &[u8]| {
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || more.contains(&byte);
        !text.is_empty() && text.bytes().all(fine)
    };
    name.len() <= 200 && made_of(namespace, b".-") && made_of(server, b"._-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_two_parts() {
        assert!(is_name("io.github.ada/callslip") && is_name("com.example/call_slip.2"));
        for wrong in
            ["", "callslip", "/callslip", "com.example/", "a/b/c", "com_example/x", "a/b c"]
        {
            assert!(!is_name(wrong), "{wrong}");
        }
    }
}
