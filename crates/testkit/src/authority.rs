//! A certificate authority of a test's own.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};

/// An authority that signs what a test asks for, and keeps its files in a folder.
pub struct Authority {
    folder: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// Its own certificate: what whoever believes it has to know.
    pub ca_file: PathBuf,
}

/// A certificate and its key, as files.
#[derive(Clone, Debug)]
pub struct Pem {
    /// The certificate.
    pub cert_file: PathBuf,
    /// The private key.
    pub key_file: PathBuf,
}

impl Authority {
    /// Makes an authority whose files lie in `folder`, which has to be there.
    ///
    /// # Panics
    /// Where the files cannot be written.
    pub fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("signed");
        let ca_file = folder.join(format!("{name}.pem"));
        fs::write(&ca_file, issuer.pem()).expect("written");
        Self {
            folder: folder.to_path_buf(),
            issuer,
            ca_file,
        }
    }

    /// Signs a certificate for these names and addresses.
    ///
    /// # Panics
    /// Where the files cannot be written.
    pub fn sign(&self, name: &str, hosts: &[&str]) -> Pem {
        self.signed(name, hosts, CertificateParams::new)
    }

    /// As [`Authority::sign`], with a certificate whose time is over.
    ///
    /// # Panics
    /// Where the files cannot be written.
    pub fn sign_expired(&self, name: &str, hosts: &[&str]) -> Pem {
        self.signed(name, hosts, |hosts: Vec<String>| {
            let mut params = CertificateParams::new(hosts)?;
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
            Ok(params)
        })
    }

    fn signed(
        &self,
        name: &str,
        hosts: &[&str],
        params: impl Fn(Vec<String>) -> Result<CertificateParams, rcgen::Error>,
    ) -> Pem {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = params(hosts).expect("names");
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let pem = Pem {
            cert_file: self.folder.join(format!("{name}.pem")),
            key_file: self.folder.join(format!("{name}.key")),
        };
        fs::write(&pem.cert_file, certificate.pem()).expect("written");
        fs::write(&pem.key_file, key.serialize_pem()).expect("written");
        pem
    }
}
