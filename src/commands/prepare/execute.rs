//! Does what a plan says.

use std::io;
use std::path::Path;

use mprism_deps::{Dependency, DepsError, FetchOptions, Progress, Provider, ensure, link, verify_quick};
use mprism_runtime::files::{ensure_folder, write_atomic};
use mprism_settings::{DEFAULT_YAML, HomeFolders};

use crate::commands::prepare::{CertificateError, Step, room};
use crate::error::CliError;

const HEADER: &str = "# Settings of this home. Everything is commented out and stands for its default; change what you need.\n\
                      # Other *.yaml files beside this one are read too, in the order of their names.\n\n";

/// Does the steps in their order.
///
/// # Errors
/// At the first step that cannot be done; what was done before stays.
pub fn execute(
    home: &HomeFolders,
    steps: &[Step],
    options: &FetchOptions,
    progress: &dyn Fn(Progress),
) -> Result<(), CliError> {
    check_providers(steps, options)?;
    for step in steps {
        match step {
            Step::Folder { path, mode } => ensure_folder(path, *mode).map_err(|e| refused("make folder", path, e))?,
            Step::Secret { path } => {
                write_atomic(path, secret().as_bytes(), 0o600).map_err(|e| refused("write", path, e))?;
            }
            Step::Certificate { path, wanted } => {
                super::certificate::make(home, wanted).map_err(|error| match error {
                    CertificateError::Io(error) => refused("write", path, error),
                    error @ CertificateError::Sign(_) => {
                        CliError::usage("no_certificate", error).hint("look at tls.names in the settings")
                    }
                })?;
            }
            Step::Config { path } => {
                write_atomic(path, settings_text().as_bytes(), 0o644).map_err(|e| refused("write", path, e))?;
            }
            Step::Logrotate { path, text } => {
                write_atomic(path, text.as_bytes(), 0o644).map_err(|e| refused("write", path, e))?;
            }
            Step::Dependency { name, link: target } => {
                check_room(*name, options)?;
                let installed = ensure(*name, options, progress)?;
                link(&installed, target).map_err(|error| match error {
                    DepsError::Io { source, .. } => refused("link", target, source),
                    other => other.into(),
                })?;
            }
        }
    }
    Ok(())
}

/// Refuses a provider that cannot deliver what is missing: a wrong flag changes nothing.
///
/// # Errors
/// Where the pins name no such source.
pub fn check_providers(steps: &[Step], options: &FetchOptions) -> Result<(), CliError> {
    for step in steps {
        let Step::Dependency { name, .. } = step else { continue };
        let pin = name.pin()?;
        let is_fetched = may_fetch(options) && pin.verify_quick(&pin.cached(&options.cache)).is_err();
        if is_fetched {
            pin.check_provider(options.provider)?;
        }
    }
    Ok(())
}

/// Refuses to fetch what the disk cannot hold, before anything is downloaded: package clients hide a full disk well.
fn check_room(name: Dependency, options: &FetchOptions) -> Result<(), CliError> {
    let pin = name.pin()?;
    if !may_fetch(options) || verify_quick(name, &pin.cached(&options.cache)).is_ok() {
        return Ok(());
    }
    room::require(&options.cache, room_for(pin.size), name.as_str())
}

fn may_fetch(options: &FetchOptions) -> bool {
    !options.offline && options.provider != Provider::Path
}

/// The archive and what is unpacked from it lie side by side for a moment; an archive is never half as large. Before that npm
/// holds it twice, which is less.
fn room_for(unpacked: u64) -> u64 {
    unpacked.saturating_add(unpacked / 2)
}

fn refused(action: &str, path: &Path, error: io::Error) -> CliError {
    let place = path.display();
    let (code, hint) = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ("disk_full", format!("free some space: `df -h {place}`"))
        }
        _ => (
            "home_not_writable",
            "use another home: `mprism --home DIR …`, or change its owner".to_owned(),
        ),
    };
    CliError::failed(code, error)
        .context(format!("cannot {action} {place}"))
        .hint(hint)
}

/// 32 random bytes as 64 hexadecimal digits, without a line break.
fn secret() -> String {
    let bytes: [u8; 32] = rand::random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the text of a settings file that says nothing yet: every setting as a comment.
pub(crate) fn settings_text() -> String {
    format!("{HEADER}{}", commented(DEFAULT_YAML))
}

/// Comments out what is not a comment already.
fn commented(yaml: &str) -> String {
    let line = |line: &str| match line.trim_start() {
        "" => "\n".to_owned(),
        text if text.starts_with('#') => format!("{line}\n"),
        _ => format!("#{line}\n"),
    };
    yaml.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use mprism_settings::{Settings, Sources};

    use super::*;
    use crate::commands::prepare::{SECRETS, plan};

    fn options() -> FetchOptions {
        FetchOptions {
            cache: "/nonexistent".into(),
            provider: mprism_deps::Provider::Auto,
            offline: true,
            search_path: std::ffi::OsString::new(),
            stall_max: mprism_deps::STALL_MAX,
            cancel: None,
        }
    }

    fn make(home: &HomeFolders) {
        execute(home, &plan(home, &[], None, &options().cache), &options(), &|_| ()).expect("made");
    }

    #[test]
    fn a_home_is_made_once_and_repaired_where_it_is_broken() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let home = HomeFolders::new(folder.path().join("home"));
        make(&home);
        assert_eq!(plan(&home, &[], None, Path::new("/nonexistent")), []);
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(
            (mode(&home.run()), mode(&home.secrets()), mode(&home.secret("nats-hot"))),
            (0o700, 0o700, 0o600)
        );
        let settings = Settings::load(&Sources {
            home: home.root().into(),
            ..Sources::default()
        });
        assert_eq!(settings.expect("the written file is valid").nats.port, 4222);

        let read = |name: &str| fs::read_to_string(home.secret(name)).expect("there");
        let before: Vec<String> = SECRETS.iter().map(|(_, name)| read(name)).collect();
        assert!(before.iter().all(|secret| secret.len() == 64) && before[0] != before[1]);
        fs::write(home.secret("nats-hot"), "short").expect("broken");
        fs::set_permissions(home.secret("nats-operator"), fs::Permissions::from_mode(0o644)).expect("opened");
        fs::set_permissions(home.run(), fs::Permissions::from_mode(0o755)).expect("opened");
        assert_eq!(plan(&home, &[], None, Path::new("/nonexistent")).len(), 3);
        make(&home);
        let after: Vec<String> = SECRETS.iter().map(|(_, name)| read(name)).collect();
        assert_eq!((&after[0], &after[3]), (&before[0], &before[3]));
        assert_ne!(after[2], before[2], "what others could read is no secret any more");
        assert_eq!((after[1].len(), mode(&home.run())), (64, 0o700));
    }

    #[test]
    fn settings_that_somebody_wrote_are_kept() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let home = HomeFolders::new(folder.path());
        fs::create_dir(home.config()).expect("made");
        fs::write(home.config().join("mprism.yaml"), "hot: {port: 9}\n").expect("written");
        make(&home);
        assert_eq!(
            fs::read_to_string(home.config().join("mprism.yaml")).expect("there"),
            "hot: {port: 9}\n"
        );
    }

    #[test]
    fn a_home_that_cannot_be_made_is_one_clear_error() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("file");
        fs::write(&file, "").expect("written");
        let home = HomeFolders::new(file.join("home"));
        let error = execute(
            &home,
            &plan(&home, &[], None, Path::new("/nonexistent")),
            &options(),
            &|_| (),
        )
        .expect_err("a file is in the way");
        assert_eq!((error.code, error.kind.code()), ("home_not_writable", 1));
        let nowhere = FetchOptions {
            // A file system that never has room.
            cache: "/proc/cache".into(),
            offline: false,
            ..options()
        };
        let no_room = check_room(Dependency::NatsServer, &nowhere).expect_err("no room");
        assert_eq!((no_room.code, no_room.kind.code()), ("disk_full", 1));
        let full = refused("write", &file, io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!((full.code, full.kind.code()), ("disk_full", 1));
    }
}
