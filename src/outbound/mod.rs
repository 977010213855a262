//! The one way out: HTTP that cannot be led to private addresses (spec rows K-02, K-05, O-01).

/// What the operator allows besides public https hosts.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// `host` or `host:port`: may be on a private address, and plain http.
    pub allowed: Vec<String>,
}

/// An HTTP client behind the guard.
#[derive(Clone, Debug)]
pub struct Outbound {
    policy: Policy,
}

impl Outbound {
    /// A client under this policy.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { policy }
    }
}
