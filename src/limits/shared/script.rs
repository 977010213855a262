//! What Valkey runs. Each script is one step for everybody else.

use std::sync::OnceLock;

use redis::Script;

pub(super) struct Scripts {
    pub(super) admit: Script,
    pub(super) refund: Script,
    pub(super) attempt: Script,
    pub(super) settle: Script,
    pub(super) heartbeat: Script,
}

impl Scripts {
    pub(super) fn get() -> &'static Self {
        static SCRIPTS: OnceLock<Scripts> = OnceLock::new();
        SCRIPTS.get_or_init(|| Self {
            admit: Script::new(include_str!("admit.lua")),
            refund: Script::new(include_str!("refund.lua")),
            attempt: Script::new(include_str!("attempt.lua")),
            settle: Script::new(include_str!("settle.lua")),
            heartbeat: Script::new(include_str!("heartbeat.lua")),
        })
    }

    pub(super) fn all(&self) -> [&Script; 5] {
        let Self { admit, refund, attempt, settle, heartbeat } = self;
        [admit, refund, attempt, settle, heartbeat]
    }
}
