use std::path::{Path, PathBuf};

/// Where marks are kept if nobody says another place: the variable `QFP_STATE_DIR`, else
/// `/var/lib/qfp`; for who is not root, `qfp` in `XDG_STATE_HOME`, else `~/.local/state/qfp`.
pub(super) fn default_state_dir() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(said) = variable("QFP_STATE_DIR") {
        return said.into();
    }
    let own = || {
        let home = || Some(Path::new(&variable("HOME")?).join(".local/state"));
        Some(variable("XDG_STATE_HOME").map(PathBuf::from).or_else(home)?.join("qfp"))
    };
    let own = if nix::unistd::geteuid().is_root() { None } else { own() };
    own.unwrap_or_else(|| PathBuf::from("/var/lib/qfp"))
}
