//! A certificate for listeners that other hosts can reach, and the home's own authority that signs it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::time::Duration;

use mprism_runtime::clock;
use mprism_runtime::files::{ensure_folder, read_secret, write_atomic};
use mprism_runtime::tls::{ClientTls, TlsIdentity};
use mprism_settings::{HomeFolders, Settings};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use serde::{Deserialize, Serialize};

use crate::commands::deployment::runs_here;
use crate::commands::reach::{identity, listens};
use crate::control::Service;

/// How long a certificate is good for: what browsers and Apple's systems accept at most.
const VALID_FOR: Duration = Duration::from_secs(825 * 86_400);
/// How long the authority is.
const AUTHORITY_VALID_FOR: Duration = Duration::from_secs(3_650 * 86_400);
/// A certificate that ends sooner is made anew.
const RENEWED_BEFORE: Duration = Duration::from_secs(60 * 86_400);
/// Clocks of other hosts may be behind ours.
const BACKDATED: Duration = Duration::from_secs(86_400);

/// What a certificate has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Names and addresses by which this host is reached.
    pub names: BTreeSet<String>,
}

/// What is known of the certificate that was made: nobody has to parse it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    authority: String,
    authority_ends_unix_s: u64,
    names: BTreeSet<String>,
    ends_unix_s: u64,
}

/// Why no certificate could be made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A name cannot stand in a certificate.
    #[error("no certificate can be made")]
    Sign(#[from] rcgen::Error),
}

/// Returns what a certificate has to say, where a service here needs one that is made.
pub fn wanted(settings: &Settings) -> Option<Certificate> {
    let here = Service::ALL.into_iter().filter(|service| runs_here(settings, *service));
    let addresses = here.filter_map(|service| listens(settings, service).first().map(|address| address.ip()));
    let guarded: Vec<_> = addresses
        .filter(|listen| identity(settings, *listen).is_some())
        .collect();
    if guarded.is_empty() || !settings.tls.is_generated {
        return None;
    }
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let local = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let listening = guarded.iter().filter(|listen| !listen.is_unspecified());
    let names = local
        .into_iter()
        .chain([host])
        .chain(settings.tls.names.iter().cloned());
    Some(Certificate {
        names: names.chain(listening.map(ToString::to_string)).collect(),
    })
}

/// Returns whether the home has what is wanted, and for long enough.
pub(super) fn is_there(home: &HomeFolders, wanted: &Certificate) -> bool {
    let Some(record) = record(home) else { return false };
    let pair = TlsIdentity {
        cert_file: home.certificate("server.pem"),
        key_file: home.certificate("server.key"),
    };
    let authority = ClientTls {
        ca_file: Some(home.certificate("ca.pem")),
        identity: None,
    };
    record.names == wanted.names
        && record.ends_unix_s > now_s() + RENEWED_BEFORE.as_secs()
        && read_secret(&pair.key_file).is_ok()
        && pair.server_config().is_ok()
        && authority.config().is_ok()
}

/// Makes what is wanted. The authority stays as long as it can: other hosts believe it.
pub(super) fn make(home: &HomeFolders, wanted: &Certificate) -> Result<(), CertificateError> {
    ensure_folder(&home.tls(), 0o755)?;
    let (authority, ends_s, issuer) = match authority(home) {
        Some(kept) => kept,
        None => new_authority(home)?,
    };
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(wanted.names.iter().cloned().collect::<Vec<_>>())?;
    params.distinguished_name.push(DnType::CommonName, "mprism");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let ends = span(
        &mut params,
        VALID_FOR.min(Duration::from_secs(ends_s.saturating_sub(now_s()))),
    );
    let certificate = params.signed_by(&key, &issuer)?;
    write_atomic(&home.certificate("server.key"), key.serialize_pem().as_bytes(), 0o600)?;
    write_atomic(&home.certificate("server.pem"), certificate.pem().as_bytes(), 0o644)?;
    let record = Record {
        authority,
        authority_ends_unix_s: ends_s,
        names: wanted.names.clone(),
        ends_unix_s: ends,
    };
    let text = serde_json::to_vec_pretty(&record).map_err(io::Error::other)?;
    write_atomic(&home.certificate("record.json"), &text, 0o644)?;
    Ok(())
}

fn record(home: &HomeFolders) -> Option<Record> {
    let text = fs::read(home.certificate("record.json")).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Returns the authority that other hosts may believe already, with its name and its end.
fn authority(home: &HomeFolders) -> Option<(String, u64, Issuer<'static, KeyPair>)> {
    let record = record(home)?;
    let key = KeyPair::from_pem(&read_secret(&home.certificate("ca.key")).ok()?).ok()?;
    let is_good =
        home.certificate("ca.pem").is_file() && record.authority_ends_unix_s > now_s() + RENEWED_BEFORE.as_secs();
    let issuer = Issuer::new(authority_params(&record.authority), key);
    is_good.then_some((record.authority, record.authority_ends_unix_s, issuer))
}

fn new_authority(home: &HomeFolders) -> Result<(String, u64, Issuer<'static, KeyPair>), CertificateError> {
    let name = format!("mprism authority {:016x}", rand::random::<u64>());
    let key = KeyPair::generate()?;
    let mut params = authority_params(&name);
    let ends = span(&mut params, AUTHORITY_VALID_FOR);
    let certificate = params.self_signed(&key)?;
    write_atomic(&home.certificate("ca.key"), key.serialize_pem().as_bytes(), 0o600)?;
    write_atomic(&home.certificate("ca.pem"), certificate.pem().as_bytes(), 0o644)?;
    Ok((name, ends, Issuer::new(params, key)))
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Says from when until when, and returns the end in seconds since the Unix epoch.
fn span(params: &mut CertificateParams, valid_for: Duration) -> u64 {
    let now = std::time::SystemTime::now();
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + valid_for).into();
    now_s() + valid_for.as_secs()
}

fn now_s() -> u64 {
    u64::try_from(clock::now_ms() / 1_000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_made_once_and_again_where_it_has_to_say_more() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let home = HomeFolders::new(folder.path());
        let of = |names: &[&str]| Certificate {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        let first = of(&["localhost", "127.0.0.2"]);
        assert!(!is_there(&home, &first));
        make(&home, &first).expect("made");
        assert!(is_there(&home, &first));
        let read = |name: &str| fs::read(home.certificate(name)).expect("there");
        let (authority, certificate) = (read("ca.pem"), read("server.pem"));
        let more = of(&["localhost", "127.0.0.2", "lake.internal"]);
        assert!(!is_there(&home, &more));
        make(&home, &more).expect("made");
        assert!(is_there(&home, &more) && !is_there(&home, &first));
        assert_eq!(read("ca.pem"), authority, "whoever believes it goes on doing so");
        assert_ne!(read("server.pem"), certificate);
        fs::remove_file(home.certificate("ca.key")).expect("removed");
        assert!(is_there(&home, &more), "it is needed to sign, and for nothing else");
        fs::write(home.certificate("server.pem"), "").expect("broken");
        assert!(!is_there(&home, &more));
        make(&home, &more).expect("made");
        assert!(is_there(&home, &more));
    }
}
