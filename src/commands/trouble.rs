//! What to type where another host does not take us, or is not to be believed: from what was met, in its own words.

use crate::control::Service;

/// Returns what mends an error of TLS or of a credential, where it is one.
pub(crate) fn advice(why: &str, service: Service) -> Option<String> {
    let says = |words: &[&str]| words.iter().any(|word| why.contains(word));
    let section = match service {
        Service::Nats => "nats.tls".to_owned(),
        Service::Clickhouse => "clickhouse.tls".to_owned(),
        service => format!("services.{service}"),
    };
    // In rustls's words (`rustls::CertificateError`).
    if says(&["UnknownIssuer", "CaUsedAsEndEntity", "BadSignature"]) {
        return Some(format!(
            "believe its authority: copy `tls/ca.pem` of its home and name it as `{section}.ca_file`"
        ));
    }
    if says(&["certificate expired", "Expired"]) {
        return Some(format!(
            "renew its certificate: on its host, `mprism init` and `mprism restart {service}`"
        ));
    }
    if says(&["not valid for name", "NotValidForName"]) {
        return Some(format!(
            "reach it by a name of its certificate, or add this one on its host: `tls: {{names: […]}}`, `mprism init`, \
             `mprism restart {service}`"
        ));
    }
    if says(&["certificate not valid yet", "NotValidYet"]) {
        return Some("set the clocks of both hosts: `timedatectl`".to_owned());
    }
    if says(&[
        "InvalidContentType",
        "invalid HTTP",
        "wrong version number",
        "InvalidMessage",
    ]) {
        return Some(
            "one side speaks TLS and the other does not: look at the scheme of its address in the settings".to_owned(),
        );
    }
    if says(&["cannot read", "No such file", "must be a regular file of ours"]) {
        return Some(format!(
            "copy the credential from the host of `{service}` and keep it to yourself: `chmod 600 FILE`; there, `mprism env` says \
             where it is"
        ));
    }
    if says(&[
        "authorization violation",
        "Authentication failed",
        "authentication failed",
        "AUTHENTICATION_FAILED",
    ]) {
        let keys = match service {
            Service::Nats => "nats.secrets_folder, nats.user and the like",
            Service::Clickhouse => "clickhouse.user and clickhouse.password_file",
            Service::Hot | Service::Cold | Service::Collector | Service::Sim => "its password_file",
        };
        return Some(format!(
            "show the right credential: copy it anew from the host of `{service}`, and look at {keys}: `mprism config show`"
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_has_its_remedy() {
        for (why, service, expected) in [
            (
                "invalid peer certificate: UnknownIssuer",
                Service::Nats,
                "nats.tls.ca_file",
            ),
            (
                "invalid peer certificate: UnknownIssuer",
                Service::Hot,
                "services.hot.ca_file",
            ),
            (
                "invalid peer certificate: certificate expired: verification time",
                Service::Clickhouse,
                "mprism init",
            ),
            (
                "certificate not valid for name \"10.0.0.1\"",
                Service::Nats,
                "tls: {names",
            ),
            ("nats: authorization violation", Service::Nats, "nats.secrets_folder"),
            (
                "Code: 516. DB::Exception: reader: Authentication failed",
                Service::Clickhouse,
                "clickhouse.password_file",
            ),
            ("answered 401: authentication failed", Service::Cold, "password_file"),
        ] {
            let advice = advice(why, service).expect("known");
            assert!(advice.contains(expected), "{advice}");
        }
        assert_eq!(advice("connection refused", Service::Nats), None);
    }
}
