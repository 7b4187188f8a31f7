//! Bugs that are planted on purpose, to show that the simulation would find them. Each has a cfg of its own,
//! `--cfg planted="its name"`, and is not there without it; `WSLOOP_PLANTED` then wakes one of those that are.

/// Whether this bug is there and awake. Without its cfg this is `false`, and what depends on it is not compiled.
macro_rules! planted {
    ($name:tt) => {
        cfg!(planted = $name) && crate::planted::is_awake($name)
    };
}
pub(crate) use planted;

#[cfg(planted)]
pub(crate) fn is_awake(name: &str) -> bool {
    static AWAKE: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    AWAKE.get_or_init(|| std::env::var("WSLOOP_PLANTED").ok()).as_deref() == Some(name)
}

#[cfg(not(planted))]
pub(crate) const fn is_awake(_: &str) -> bool {
    false
}
