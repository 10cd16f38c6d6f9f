//! What is missing in a home. Looks, and changes nothing.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use mprism_deps::{Dependency, verify_quick};
use mprism_runtime::files::read_secret;
use mprism_settings::HomeFolders;
use serde::Serialize;

use crate::commands::logrotate;
use crate::commands::prepare::{Certificate, SECRETS};

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// Make a folder, or give it back its mode.
    Folder {
        /// The folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Generate a credential; a broken one is replaced.
    Secret {
        /// Its file.
        path: PathBuf,
    },
    /// Make a certificate for listeners that other hosts can reach.
    Certificate {
        /// The file.
        path: PathBuf,
        /// What it says.
        #[serde(skip)]
        wanted: Certificate,
    },
    /// Write the settings file in which everything is commented out.
    Config {
        /// The file.
        path: PathBuf,
    },
    /// Write logrotate's policy for the home's logs.
    Logrotate {
        /// The file.
        path: PathBuf,
        /// What belongs into it.
        #[serde(skip)]
        text: String,
    },
    /// Have a dependency in the cache, and link it.
    Dependency {
        /// Which one.
        name: Dependency,
        /// Where the home uses it.
        link: PathBuf,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder { path, mode } => write!(f, "make folder {} with mode {mode:04o}", path.display()),
            Self::Secret { path } => write!(f, "generate credential {}", path.display()),
            Self::Certificate { path, wanted } => {
                let names: Vec<&str> = wanted.names.iter().map(String::as_str).collect();
                write!(f, "make certificate {} for {}", path.display(), names.join(", "))
            }
            Self::Config { path } | Self::Logrotate { path, .. } => write!(f, "write {}", path.display()),
            Self::Dependency { name, link } => write!(f, "fetch {name} and link it to {}", link.display()),
        }
    }
}

/// Returns everything that is missing or broken in a home that needs these dependencies, in the order to do it.
///
/// `cache` is the folder that dependencies are linked from.
pub fn plan(
    home: &HomeFolders,
    dependencies: &[Dependency],
    certificate: Option<&Certificate>,
    cache: &Path,
) -> Vec<Step> {
    let mut steps = missing_folders(home);
    let secrets = SECRETS
        .iter()
        .map(|(_, name)| home.secret(name))
        .filter(|path| !is_secret(path));
    steps.extend(secrets.map(|path| Step::Secret { path }));
    let certificate = certificate.filter(|wanted| !super::certificate::is_there(home, wanted));
    steps.extend(certificate.map(|wanted| Step::Certificate {
        path: home.certificate("server.pem"),
        wanted: wanted.clone(),
    }));
    let config = home.config().join("mprism.yaml");
    if !config.exists() {
        steps.push(Step::Config { path: config });
    }
    let policy = home.logrotate();
    let text = logrotate::policy(home);
    if fs::read_to_string(&policy).ok().as_ref() != Some(&text) {
        steps.push(Step::Logrotate { path: policy, text });
    }
    steps.extend(missing_dependencies(home, dependencies, cache));
    steps
}

/// Returns what is missing of these dependencies, with the folders of their links.
pub fn plan_dependencies(home: &HomeFolders, dependencies: &[Dependency], cache: &Path) -> Vec<Step> {
    let links: Vec<PathBuf> = dependencies.iter().map(|name| link_of(home, *name)).collect();
    let is_needed = |path: &PathBuf| path == home.root() || links.iter().any(|link| link.parent() == Some(path));
    let folders = missing_folders(home).into_iter();
    let mut steps: Vec<Step> = folders
        .filter(|step| matches!(step, Step::Folder { path, .. } if is_needed(path)))
        .collect();
    steps.extend(missing_dependencies(home, dependencies, cache));
    steps
}

/// Returns where a home uses a dependency.
pub fn link_of(home: &HomeFolders, name: Dependency) -> PathBuf {
    match name {
        Dependency::NatsServer => home.nats_server(),
        Dependency::Libchdb => home.libchdb(),
    }
}

fn missing_folders(home: &HomeFolders) -> Vec<Step> {
    let is_right = |path: &PathBuf, mode: u32| {
        fs::symlink_metadata(path).is_ok_and(|found| found.is_dir() && found.permissions().mode() & 0o777 == mode)
    };
    let missing = home.all().into_iter().filter(|(path, mode)| !is_right(path, *mode));
    missing.map(|(path, mode)| Step::Folder { path, mode }).collect()
}

fn missing_dependencies(home: &HomeFolders, dependencies: &[Dependency], cache: &Path) -> Vec<Step> {
    // A file that is not what was verified, by size, time and inode, is hashed here and fetched again if it differs.
    let is_right = |name: Dependency, link: &Path| {
        let cached = name.pin().ok().map(|pin| pin.cached(cache));
        cached.is_some() && fs::read_link(link).ok() == cached && verify_quick(name, link).is_ok()
    };
    let links = dependencies.iter().map(|name| (*name, link_of(home, *name)));
    let missing = links.filter(|(name, link)| !is_right(*name, link));
    missing.map(|(name, link)| Step::Dependency { name, link }).collect()
}

/// Returns whether a file holds a credential of ours that nobody else can read.
fn is_secret(path: &Path) -> bool {
    read_secret(path).is_ok_and(|text| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()))
}
