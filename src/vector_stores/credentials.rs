//! A store's API key at rest: sealed with the tenant's data key, bound to its row.
