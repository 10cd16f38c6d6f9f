//! What must hold of other hosts: one credential a server, no half of a pair, nothing that has no meaning.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use super::Decider;
use crate::home::HomeFolders;
use crate::remote::{NatsLogin, RemoteSettings, ServicesSettings, TlsSettings, TrustSettings};
use crate::settings::Mode;
use crate::url::ServerUrl;

/// What has a meaning only where somebody else runs the message broker.
const NATS_ONLY_EXTERNAL: [&str; 9] = [
    "nats.user",
    "nats.password_file",
    "nats.token_file",
    "nats.nkey_file",
    "nats.credentials_file",
    "nats.secrets_folder",
    "nats.tls.ca_file",
    "nats.tls.cert_file",
    "nats.tls.key_file",
];

impl Decider {
    /// Reads an address; anything else was refused before.
    pub(super) fn listen(&self, path: &str) -> IpAddr {
        let text = self.values.text(path);
        text.parse().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    pub(super) fn tls(&mut self, home: &HomeFolders) -> TlsSettings {
        let everywhere = self.values.text("tls.listeners") == "always";
        let names = self.values.list("tls.names").to_vec();
        let ca_file = self.values.folder("tls.ca_file");
        match self.pair("tls.cert_file", "tls.key_file") {
            Some((cert_file, key_file)) => TlsSettings {
                everywhere,
                cert_file,
                key_file,
                ca_file,
                is_generated: false,
                names,
            },
            None => {
                if ca_file.is_some() {
                    let path = "tls.ca_file";
                    self.problem(&[path], format!("{path}: has a meaning only with tls.cert_file"));
                }
                TlsSettings {
                    everywhere,
                    cert_file: home.certificate("server.pem"),
                    key_file: home.certificate("server.key"),
                    ca_file: Some(home.certificate("ca.pem")),
                    is_generated: true,
                    names,
                }
            }
        }
    }

    /// Returns two files of which one alone has no meaning.
    fn pair(&mut self, first: &'static str, second: &'static str) -> Option<(PathBuf, PathBuf)> {
        match (self.values.folder(first), self.values.folder(second)) {
            (Some(one), Some(other)) => Some((one, other)),
            (None, None) => None,
            (Some(_), None) => {
                self.problem(&[first], format!("{first}: needs {second}"));
                None
            }
            (None, Some(_)) => {
                self.problem(&[second], format!("{second}: needs {first}"));
                None
            }
        }
    }

    /// Complains of what was said and means nothing where mprism runs the server itself.
    fn only_external(&mut self, paths: &[&'static str], mode: &'static str) {
        for path in paths {
            if self.values.folder(path).is_some() {
                self.problem(
                    &[path, mode],
                    format!("{path}: has a meaning only with {mode}: external"),
                );
            }
        }
    }

    pub(super) fn nats_login(&mut self, mode: Mode, url: &ServerUrl, home: &HomeFolders) -> (NatsLogin, TrustSettings) {
        if mode == Mode::Managed {
            self.only_external(&NATS_ONLY_EXTERNAL, "nats.mode");
            return (NatsLogin::Members(home.secrets()), TrustSettings::default());
        }
        let trust = TrustSettings {
            ca_file: self.values.folder("nats.tls.ca_file"),
            identity: self.pair("nats.tls.cert_file", "nats.tls.key_file"),
        };
        let kinds = [
            "nats.user",
            "nats.token_file",
            "nats.nkey_file",
            "nats.credentials_file",
            "nats.secrets_folder",
        ];
        let said: Vec<&'static str> = kinds
            .into_iter()
            .filter(|path| self.values.folder(path).is_some())
            .collect();
        if let [first, second, ..] = said[..] {
            self.problem(&[second, first], format!("{second}: {first} says already who connects"));
        }
        if let Some(path) = said.first()
            && url.user().is_some()
        {
            self.problem(
                &[path, "nats.url"],
                format!("{path}: the credential stands in nats.url already"),
            );
        }
        let user = self.pair("nats.user", "nats.password_file");
        let of = |path: &str| self.values.folder(path);
        let login = if let Some((user, password_file)) = user {
            NatsLogin::User {
                user: user.display().to_string(),
                password_file,
            }
        } else if let Some(path) = of("nats.token_file") {
            NatsLogin::Token(path)
        } else if let Some(path) = of("nats.nkey_file") {
            NatsLogin::Nkey(path)
        } else if let Some(path) = of("nats.credentials_file") {
            NatsLogin::Credentials(path)
        } else if let Some(path) = of("nats.secrets_folder") {
            NatsLogin::Members(path)
        } else {
            NatsLogin::AsAddressed
        };
        (login, trust)
    }

    /// Returns user, file of the password, and authorities of the store.
    pub(super) fn clickhouse_login(
        &mut self,
        mode: Mode,
        url: &ServerUrl,
    ) -> (Option<String>, Option<PathBuf>, TrustSettings) {
        let paths = ["clickhouse.user", "clickhouse.password_file", "clickhouse.tls.ca_file"];
        if mode == Mode::Managed {
            self.only_external(&paths, "clickhouse.mode");
            return (None, None, TrustSettings::default());
        }
        let [user, password_file, ca_file] = paths.map(|path| self.values.folder(path));
        for (path, said) in [(paths[0], &user), (paths[1], &password_file)] {
            if said.is_some() && url.user().is_some() {
                let message = format!("{path}: the credential stands in clickhouse.url already");
                self.problem(&[path, "clickhouse.url"], message);
            }
        }
        let trust = TrustSettings {
            ca_file,
            identity: None,
        };
        (user.map(|user| user.display().to_string()), password_file, trust)
    }

    pub(super) fn services(&mut self) -> ServicesSettings {
        ServicesSettings {
            collector: self.remote([
                "services.collector.mode",
                "services.collector.url",
                "services.collector.ca_file",
                "services.collector.password_file",
            ]),
            hot: self.remote([
                "services.hot.mode",
                "services.hot.url",
                "services.hot.ca_file",
                "services.hot.password_file",
            ]),
            cold: self.remote([
                "services.cold.mode",
                "services.cold.url",
                "services.cold.ca_file",
                "services.cold.password_file",
            ]),
        }
    }

    fn remote(&mut self, [mode, url, ca_file, password_file]: [&'static str; 4]) -> Option<RemoteSettings> {
        let (ca, password) = (self.values.folder(ca_file), self.values.folder(password_file));
        let said = self.values.url(url).map(ServerUrl::without_slash);
        match (self.values.text(mode) == "external", said) {
            (true, Some(found)) => {
                if found.user().is_some() {
                    let message = format!("{url}: expected no credential; {password_file} names its file");
                    self.problem(&[url], message);
                }
                if password.is_some() && !found.is_secured() && !found.is_loopback() {
                    let message = format!("{password_file}: is not sent without TLS; expected {url} to be https://…");
                    self.problem(&[password_file, url], message);
                }
                Some(RemoteSettings {
                    url: found,
                    ca_file: ca,
                    password_file: password,
                })
            }
            (true, None) => {
                self.problem(&[mode], format!("{mode}: external needs {url}"));
                None
            }
            (false, found) => {
                if found.is_some() {
                    self.problem(&[url, mode], format!("{url}: has a meaning only with {mode}: external"));
                }
                self.only_external(&[ca_file, password_file], mode);
                None
            }
        }
    }
}
