//! What may be registered, what matches, and what a person is shown of it.

use super::*;

const DANGEROUS: &[&str] = &[
    "javascript:alert(1)",
    "JavaScript:alert(1)",
    "data:text/html,x",
    "file:///etc/passwd",
    "vbscript:x",
    "blob:https://a.example/x",
    "about:blank",
    "ftp://a.example/x",
    "ws://a.example",
    "wss://a.example",
    "intent://a#Intent;end",
    "http://a.example/cb",
    "http://127.0.0.1.evil.example/cb",
    "http://127.0.0.2/cb",
    "http://localhost.evil.example/cb",
    "http://localhost:99999/cb",
    "http://0x7f.1/cb",
    "http://user@127.0.0.1/cb",
    "http://127.0.0.1@evil.example/cb",
    "https://a.example/cb#frag",
    "https://*.example/cb",
    "https://a.example/*",
    "https://user:pass@a.example/cb",
    "https://@a.example/cb",
    "https:///cb",
    "https:cb",
    "https://127.1/cb",
    "https://0x7f000001/cb",
    "https://evil%2eexample/cb",
    "https://%65vil.example/cb",
    "https://a.example:/cb",
    "https://a.example:99999/cb",
    "https://a.example:x/cb",
    "chrome-extension://abc/cb",
    "search-ms:query",
    "content://x/y",
    "https://a.example\\@b.example/cb",
    "https://a.example/c b",
    "https://ä.example/cb",
    "https://a.example/\u{202e}",
    "/cb",
    "cb",
    "",
    "cursor:",
    "cursor://",
    "cursor://u@x/y",
    "Cursor://x/y",
    "1a://x",
    "microsoft-edge:https://evil.example/cb",
    "microsoft-edge-holographic://evil.example/cb",
    "googlechrome://evil.example/cb",
    "googlechromes://evil.example/cb",
    "x-safari-https://evil.example/cb",
    "firefox://open-url?url=https://evil.example/cb",
    "firefox-focus://evil.example/cb",
    "brave://open-url?url=x",
    "opera-https://evil.example/cb",
    "web+x:cb",
    "ms-browser-extension:cb",
    "ms-msdt:x",
    "itmss://x",
    "search:x",
    "other://open?url=https://evil.example/cb",
    "other:HTTPS://evil.example/cb",
    "other://open?url=hTTp%3A//evil.example/cb",
    "other://open?url=%68ttps%3a%2f%2fevil.example",
    "other://open?url=%2568ttps%253A%252F%252Fevil.example",
];

/// [D-02] Dangerous, ambiguous and non-loopback plain URIs cannot be registered.
#[test]
fn what_is_dangerous_cannot_be_registered() {
    for bad in DANGEROUS {
        assert!(check_registrable(bad).is_err(), "{bad}");
    }
    assert!(check_registrable(&format!("https://a.example/{}", "x".repeat(512))).is_err());
}

#[test]
fn what_the_real_clients_register_is_accepted() {
    for good in [
        "https://chatgpt.com/connector_platform_oauth_redirect",
        "https://claude.ai/api/mcp/auth_callback",
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "http://localhost:8787/callback",
        "http://127.0.0.1:33418/",
        "http://127.0.0.1/",
        "http://127.0.0.1",
        "http://[::1]:1234/cb?x=1",
        "https://vscode.dev/redirect",
        "vscode://vscode.github-authentication/did-authenticate",
        "com.example.app:/oauth",
        "com.example.app:/https/100%/cb",
        "https://A.example:8443/cb?x=1",
    ] {
        assert_eq!(check_registrable(good), Ok(()), "{good}");
    }
}

#[test]
fn the_answer_is_added_to_the_query_that_is_there() {
    for (registered, location) in [
        ("https://a.example/cb", "https://a.example/cb?code=c%26d"),
        ("https://a.example/cb?x=1", "https://a.example/cb?x=1&code=c%26d"),
        ("app:/cb?", "app:/cb?code=c%26d"),
    ] {
        let path = ReturnPath::matching(&[registered.to_owned()], None).unwrap();
        let response = path.answer(&[("code", "c&d")]);
        assert_eq!(response.status(), 303);
        assert_eq!(response.headers()["location"], location);
    }
}
