//! Messages of a MarketPrism's broker: gone on with where they are, if this home's broker may have them and has none of its own.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use mprism_runtime::files::write_atomic;
use mprism_settings::{Backend, Mode, Settings, VolumeSettings};
use serde::Serialize;

use super::containers::ItsContainer;
use super::ending::Around;
use crate::commands::Context;
use crate::control::{self, MarketPrism, Part, Service};
use crate::error::CliError;

/// The settings file that names what was taken over; what an operator writes into `mprism.yaml` wins over it.
const FILE: &str = "marketprism.yaml";
/// Where nats-server keeps messages if nobody says where.
const DEFAULT_STORE: &str = "/tmp/nats/jetstream";

/// Messages of another broker that this home's broker goes on with, where they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename = "adopt-messages", rename_all = "kebab-case")]
pub(crate) struct Adoption {
    /// Where they are on this machine, where our broker is a process.
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<PathBuf>,
    /// The volume of which that is the folder, or which our broker's container uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    volume: Option<String>,
    /// The file that says so from now on.
    file: PathBuf,
    /// What it says.
    #[serde(skip)]
    text: String,
}

impl fmt::Display for Adoption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match (&self.store, &self.volume) {
            (Some(store), Some(volume)) => format!("{} (volume {volume})", store.display()),
            (Some(store), None) => store.display().to_string(),
            (None, volume) => format!("volume {}", volume.as_deref().unwrap_or_default()),
        };
        write!(
            f,
            "go on with the messages in {place}, named in {}",
            self.file.display()
        )
    }
}

impl Adoption {
    /// Writes down where they are.
    pub(super) fn write(&self) -> Result<(), CliError> {
        let text = format!(
            "# Written by `mprism start --take-over`: the messages of the MarketPrism that ran here.\n{}\n",
            self.text
        );
        write_atomic(&self.file, text.as_bytes(), 0o644).map_err(|e| {
            CliError::failed("home_not_writable", e).context(format!("cannot write {}", self.file.display()))
        })
    }
}

/// Messages that a broker of MarketPrism's keeps.
pub(super) struct Store {
    /// Where they are on this machine.
    folder: PathBuf,
    /// What people call that, where it is in a volume.
    volume: Option<String>,
    /// Where they are in the volume, and the image of the broker, for who has to copy them himself.
    within: PathBuf,
    image: String,
    /// The user of the broker's container.
    user: String,
}

impl Store {
    /// Finds them: of a broker that runs as a process first, then of one in a container, running or not.
    pub(super) fn of(processes: &[MarketPrism], containers: &[ItsContainer], context: &Context) -> Option<Self> {
        let of_process = processes.iter().find_map(|found| found.store.clone());
        if let Some(folder) = of_process {
            return Some(Self {
                folder,
                volume: None,
                within: PathBuf::new(),
                image: String::new(),
                user: String::new(),
            });
        }
        let broker = containers.iter().find(|its| its.part == Part::Broker)?;
        let within = control::option(&broker.other.command, &["--store_dir", "-store_dir", "-sd", "--sd"]);
        let within = PathBuf::from(within.unwrap_or_else(|| DEFAULT_STORE.to_owned()));
        let Some((mounted, rest)) = broker.other.kept(&within) else {
            context.printer.warn(&format!(
                "MarketPrism's messages stay in container {}: its folder {} is in no volume; the container is kept",
                broker.container,
                within.display()
            ));
            return None;
        };
        Some(Self {
            folder: match rest.as_os_str().is_empty() {
                true => mounted.source.clone(),
                false => mounted.source.join(rest),
            },
            volume: mounted.volume.clone(),
            within: rest.to_path_buf(),
            image: broker.image.clone(),
            user: broker.other.user.clone(),
        })
    }

    /// Decides whether our broker goes on with them: where it has none of its own and nobody said otherwise.
    pub(super) fn adoption(self, around: &Around, settings: &Settings, context: &Context) -> Option<Adoption> {
        let nats = &settings.nats;
        if nats.mode != Mode::Managed {
            return None;
        }
        if settings.infra.nats_backend == Backend::Docker {
            return self.mounted(around, settings, context);
        }
        if nats.data_folder == self.folder {
            return None;
        }
        let kept = |why: &str| self.stays(why, context);
        if !nats.data_folder.starts_with(settings.home.root()) {
            return kept("nats.data_folder names another folder");
        }
        if nats.data_folder.join("jetstream").exists() {
            return kept("this home has messages of its own");
        }
        if self.volume.is_some() && !around.is_here {
            return kept(&format!("its engine is on another machine; {}", self.copy(settings)));
        }
        if !is_usable(&self.folder) {
            let mut why = format!("they do not belong to {}", control::our_user());
            if self.volume.is_some() {
                why = format!("{why}; {}", self.copy(settings));
            }
            return kept(&why);
        }
        if self.folder.starts_with("/tmp") {
            context.printer.warn(&format!(
                "{} may be emptied when the machine starts again: once everything is stored, move it and say where in nats.data_folder",
                self.folder.display()
            ));
        }
        if let Some(volume) = &self.volume {
            context.printer.warn(&format!(
                "this home's messages are in volume {volume} from now on: whoever removes it removes them"
            ));
        }
        let folder = serde_json::Value::from(self.folder.display().to_string());
        Some(Adoption {
            file: settings.home.config().join(FILE),
            text: format!("nats:\n  data_folder: {folder}"),
            store: Some(self.folder),
            volume: self.volume,
        })
    }

    fn stays(&self, why: &str, context: &Context) -> Option<Adoption> {
        let place = match &self.volume {
            Some(volume) => format!("volume {volume}, {}", self.folder.display()),
            None => self.folder.display().to_string(),
        };
        context
            .printer
            .warn(&format!("MarketPrism's messages stay in {place}: {why}"));
        None
    }

    /// Decides whether the container of our broker uses their volume.
    fn mounted(self, around: &Around, settings: &Settings, context: &Context) -> Option<Adoption> {
        let Some(name) = self.volume.clone() else {
            return self.stays(
                "this home's broker runs in a container, which needs them in a volume",
                context,
            );
        };
        let folder = match self.within.as_os_str().is_empty() {
            true => ".".to_owned(),
            false => self.within.display().to_string(),
        };
        let text = format!("{name}/{folder}");
        let wanted = VolumeSettings {
            name,
            folder: Some(folder),
        };
        match &settings.infra.nats_volume {
            Some(named) if *named == wanted => return None,
            Some(_) => return self.stays("infra.nats.volume names another one", context),
            None => {}
        }
        if around.owned.contains(&Service::Nats) {
            return self.stays("this home has messages of its own", context);
        }
        let user = match self.user.split(':').next().unwrap_or_default() {
            "" | "root" => "0",
            user => user,
        };
        if user != rustix::process::geteuid().as_raw().to_string() {
            let why = format!(
                "they belong to user {user}, and this home's containers run as {}",
                control::our_user()
            );
            return self.stays(&why, context);
        }
        context.printer.warn(&format!(
            "this home's messages are in volume {} from now on: whoever removes it removes them",
            wanted.name
        ));
        Some(Adoption {
            store: None,
            file: settings.home.config().join(FILE),
            text: format!(
                "infra:\n  nats:\n    volume: {}",
                serde_json::Value::from(text.as_str())
            ),
            volume: Some(text),
        })
    }

    /// Says how they come into a home that has none yet.
    fn copy(&self, settings: &Settings) -> String {
        let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let volume = self.volume.as_deref().unwrap_or_default();
        let (image, from, to) = (
            &self.image,
            Path::new("/from").join(&self.within),
            settings.home.nats_data(),
        );
        format!(
            "to go on with them, copy them before, with its broker stopped: `docker run --rm --user 0 --entrypoint sh -v {volume}:/from:ro \
             -v {}:/to {image} -c 'cp -a {}/jetstream /to/ && chown -R {user}:{group} /to'`",
            to.display(),
            from.display()
        )
    }
}

/// Returns whether a folder is ours: root writes into nobody else's, where a link may wait for it.
fn is_usable(store: &Path) -> bool {
    let us = rustix::process::geteuid().as_raw();
    fs::symlink_metadata(store).is_ok_and(|found| found.is_dir() && found.uid() == us)
}
