//! Endpoints that other hosts can reach: who is let in, and who is believed.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use mprism_runtime::endpoint::{Endpoint, FileLogin};
use mprism_runtime::guard::{ENDPOINT_USER, Guard};
use mprism_runtime::tls::{ClientTls, TlsIdentity};
use mprism_runtime::{http, probe};
use mprism_testkit::{Authority, Pem};
use tokio_util::sync::CancellationToken;

const WITHIN: Duration = Duration::from_secs(10);

fn secret(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("closed");
    path
}

/// Serves `/health` behind a guard that shows this certificate, until the test ends.
async fn guarded(pem: &Pem, password_file: &Path) -> SocketAddr {
    let listener = http::bind(([127, 0, 0, 1], 0).into()).await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let guard = Guard {
        identity: TlsIdentity {
            cert_file: pem.cert_file.clone(),
            key_file: pem.key_file.clone(),
        },
        password_file: password_file.to_path_buf(),
    };
    let router = Router::new().route("/health", get(|| async { "fine" }));
    tokio::spawn(http::serve_guarded(
        listener,
        Some(guard),
        router,
        CancellationToken::new(),
    ));
    address
}

#[tokio::test]
async fn only_who_knows_the_password_and_believes_the_authority_is_answered() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (ours, other) = (
        Authority::new(folder.path(), "ours"),
        Authority::new(folder.path(), "other"),
    );
    let password_file = secret(folder.path(), "endpoints", "s3cret\n");
    let address = guarded(&ours.sign("server", &["127.0.0.1"]), &password_file).await;
    // Somebody who connects and says nothing keeps nobody else waiting.
    let _silent = tokio::net::TcpStream::connect(address).await.expect("connected");
    let believing = |authority: &Authority, address: SocketAddr, password_file: &Path| Endpoint {
        tls: Some(ClientTls {
            ca_file: Some(authority.ca_file.clone()),
            identity: None,
        }),
        login: Some(FileLogin {
            user: ENDPOINT_USER.into(),
            password_file: password_file.to_path_buf(),
        }),
        ..address.into()
    };
    let ask = |endpoint: Endpoint| async move { probe::get(endpoint, "/health", WITHIN).await };
    let good = believing(&ours, address, &password_file);
    assert_eq!(ask(good.clone()).await, Ok((200, "fine".to_owned())));

    let nobody = Endpoint { login: None, ..good };
    assert_eq!(ask(nobody).await.expect("an answer").0, 401);
    let wrong = secret(folder.path(), "wrong", "s3cre");
    let (status, said) = ask(believing(&ours, address, &wrong)).await.expect("an answer");
    assert_eq!(status, 401, "{said}");
    let told = ask(believing(&other, address, &password_file))
        .await
        .expect_err("a stranger");
    assert!(told.contains("UnknownIssuer"), "{told}");
    let plain = ask(address.into()).await;
    assert!(plain.is_err(), "no TLS, no answer: {plain:?}");

    for (pem, why) in [
        (ours.sign_expired("expired", &["127.0.0.1"]), "expired"),
        (ours.sign("elsewhere", &["lake.internal"]), "not valid for name"),
    ] {
        let address = guarded(&pem, &password_file).await;
        let told = ask(believing(&ours, address, &password_file))
            .await
            .expect_err("not believed");
        assert!(told.contains(why), "{told}");
    }
}
