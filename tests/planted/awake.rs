//! Which of the planted bugs is awake: the one that `WSLOOP_PLANTED` names.

pub(crate) fn is_awake(name: &str) -> bool {
    static AWAKE: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    AWAKE.get_or_init(|| std::env::var("WSLOOP_PLANTED").ok()).as_deref() == Some(name)
}
