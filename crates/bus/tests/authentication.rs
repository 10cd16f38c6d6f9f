//! Real nats-servers that want to know who connects, and show who they are.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mprism_bus::{Bus, BusError, BusOptions, Credentials, try_out};
use mprism_runtime::tls::{ClientTls, TlsIdentity};
use mprism_testkit::{Authority, NatsServer, PATIENCE, Pem, free_address};
use nkeys::KeyPair;

fn options(url: &str, credentials: Option<Credentials>, tls: Option<ClientTls>) -> BusOptions {
    BusOptions {
        url: url.into(),
        credentials,
        tls,
        client_name: "test".into(),
    }
}

/// Connects for good, and stores a message.
async fn works(options: BusOptions) {
    let bus = Bus::connect(options).await.expect("usable");
    bus.ready(PATIENCE).await.expect("connected");
    let account = bus.context().query_account().await;
    account.expect("JetStream answers");
}

/// Connects once, which must fail, and returns why.
async fn refused(options: BusOptions) -> String {
    let error = try_out(options, PATIENCE).await.expect_err("refused");
    assert!(matches!(error, BusError::NotConnected { .. }), "{error:?}");
    let text = error.to_string();
    assert!(!text.contains("s3cret"), "{text}");
    text
}

fn user(password: &str) -> Option<Credentials> {
    Some(Credentials::User {
        user: "bob".into(),
        password: password.into(),
    })
}

fn server(folder: &Path, name: &str, lines: &str) -> NatsServer {
    let folder = folder.join(name);
    std::fs::create_dir(&folder).expect("made");
    NatsServer::configured(&folder, free_address(), lines)
}

#[tokio::test]
async fn each_kind_of_authentication_is_understood_and_a_wrong_one_is_told() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let at = folder.path();

    let password = server(at, "password", "authorization: {user: bob, password: s3cret}\n");
    works(options(&password.url(), user("s3cret"), None)).await;
    let in_url = password.url().replace("nats://", "nats://bob:s3cret@");
    works(options(&in_url, None, None)).await;
    let wrong = refused(options(&in_url.replace("s3cret", "s3crets"), None, None)).await;
    assert!(wrong.contains("authorization violation"), "{wrong}");
    let wrong = refused(options(&password.url(), user("wrong"), None)).await;
    assert!(wrong.contains("authorization violation"), "{wrong}");
    // A worker that goes on trying says why, too.
    let trying = Bus::connect(options(&password.url(), user("wrong"), None))
        .await
        .expect("usable");
    let error = trying
        .ready(Duration::from_secs(2))
        .await
        .expect_err("refused")
        .to_string();
    assert!(error.contains("authorization violation"), "{error}");

    let token = server(at, "token", "authorization: {token: s3cret}\n");
    works(options(&token.url(), Some(Credentials::Token("s3cret".into())), None)).await;
    let wrong = refused(options(&token.url(), Some(Credentials::Token("wrong".into())), None)).await;
    assert!(wrong.contains("authorization violation"), "{wrong}");

    let (known, stranger) = (KeyPair::new_user(), KeyPair::new_user());
    let lines = format!("authorization: {{users: [{{nkey: {}}}]}}\n", known.public_key());
    let nkey = server(at, "nkey", &lines);
    let of = |pair: &KeyPair| Some(Credentials::Nkey(pair.seed().expect("a seed")));
    works(options(&nkey.url(), of(&known), None)).await;
    let wrong = refused(options(&nkey.url(), of(&stranger), None)).await;
    assert!(wrong.contains("authorization violation"), "{wrong}");

    let operator = Operator::new();
    let jwt = server(at, "jwt", &operator.lines());
    works(options(&jwt.url(), Some(operator.credentials(&operator.account)), None)).await;
    let wrong = refused(options(
        &jwt.url(),
        Some(operator.credentials(&KeyPair::new_account())),
        None,
    ))
    .await;
    assert!(wrong.contains("authorization violation"), "{wrong}");
    let no_file = try_out(
        options(&jwt.url(), Some(Credentials::File("s3cret".into())), None),
        PATIENCE,
    )
    .await;
    let error = no_file.expect_err("no credentials");
    assert!(matches!(error, BusError::Credentials(_)), "{error:?}");
}

#[tokio::test]
async fn only_a_server_that_shows_what_it_should_is_believed() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let at = folder.path();
    let (ours, other) = (Authority::new(at, "ours"), Authority::new(at, "other"));
    let believe = |authority: &Authority| {
        Some(ClientTls {
            ca_file: Some(authority.ca_file.clone()),
            identity: None,
        })
    };
    let lines = |pem: &Pem, more: &str| {
        let (cert, key) = (pem.cert_file.display(), pem.key_file.display());
        format!(
            "tls: {{cert_file: \"{cert}\", key_file: \"{key}\" {more}}}\nauthorization: {{user: bob, password: s3cret}}\n"
        )
    };

    let good = server(
        at,
        "good",
        &lines(&ours.sign("server", &["127.0.0.1", "localhost"]), ""),
    );
    works(options(&good.url(), user("s3cret"), believe(&ours))).await;
    let strict = good.url().replace("nats://", "tls://");
    works(options(&strict, user("s3cret"), believe(&ours))).await;
    let wrong = refused(options(&good.url(), user("wrong"), believe(&ours))).await;
    assert!(wrong.contains("authorization violation"), "{wrong}");
    for nobody in [believe(&other), None] {
        let wrong = refused(options(&good.url(), user("s3cret"), nobody)).await;
        assert!(wrong.contains("UnknownIssuer"), "{wrong}");
    }

    let elsewhere = server(at, "elsewhere", &lines(&ours.sign("elsewhere", &["lake.internal"]), ""));
    let wrong = refused(options(&elsewhere.url(), user("s3cret"), believe(&ours))).await;
    assert!(wrong.contains("not valid for name"), "{wrong}");

    let over = server(at, "over", &lines(&ours.sign_expired("expired", &["127.0.0.1"]), ""));
    let wrong = refused(options(&over.url(), user("s3cret"), believe(&ours))).await;
    assert!(wrong.contains("expired"), "{wrong}");

    // One that wants to see a certificate of ours, too.
    let asks = format!(", ca_file: \"{}\", verify: true", ours.ca_file.display());
    let mutual = server(at, "mutual", &lines(&ours.sign("mutual", &["127.0.0.1"]), &asks));
    let client = ours.sign("client", &["bob"]);
    let shown = believe(&ours).map(|tls| ClientTls {
        identity: Some(TlsIdentity {
            cert_file: client.cert_file.clone(),
            key_file: client.key_file.clone(),
        }),
        ..tls
    });
    works(options(&mutual.url(), user("s3cret"), shown)).await;
    refused(options(&mutual.url(), user("s3cret"), believe(&ours))).await;

    // A server without TLS is not spoken to where TLS was asked for.
    let plain = server(at, "plain", "authorization: {user: bob, password: s3cret}\n");
    let strict = plain.url().replace("nats://", "tls://");
    refused(options(&strict, user("s3cret"), believe(&ours))).await;
}

/// An operator in the sense of NATS: who vouches for accounts, which vouch for users.
struct Operator {
    operator: KeyPair,
    account: KeyPair,
    system: KeyPair,
}

impl Operator {
    fn new() -> Self {
        Self {
            operator: KeyPair::new_operator(),
            account: KeyPair::new_account(),
            system: KeyPair::new_account(),
        }
    }

    fn lines(&self) -> String {
        let limits = r#""limits": {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
            "conn": -1, "leaf": -1, "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}"#;
        let account = |pair: &KeyPair, limits: &str| {
            let nats = format!(r#"{{{limits}"type": "account", "version": 2}}"#);
            jwt(&self.operator, pair, "account", &nats)
        };
        let nats = r#"{"type": "operator", "version": 2}"#;
        format!(
            "operator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{\n  {}: {}\n  {}: {}\n}}\n",
            jwt(&self.operator, &self.operator, "operator", nats),
            self.system.public_key(),
            self.account.public_key(),
            account(&self.account, &format!("{limits}, ")),
            self.system.public_key(),
            account(&self.system, ""),
        )
    }

    /// Returns what a user's credentials file says that `account` vouches for.
    fn credentials(&self, account: &KeyPair) -> Credentials {
        let user = KeyPair::new_user();
        let nats = r#"{"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1}"#;
        let jwt = jwt(account, &user, "user", nats);
        let seed = user.seed().expect("a seed");
        Credentials::File(format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        ))
    }
}

/// Signs a claim of NATS's form.
fn jwt(issuer: &KeyPair, subject: &KeyPair, name: &str, nats: &str) -> String {
    let claims = format!(
        r#"{{"jti": "{name}", "iat": 1700000000, "iss": "{}", "name": "{name}", "sub": "{}", "nats": {nats}}}"#,
        issuer.public_key(),
        subject.public_key()
    );
    let coded = [r#"{"typ":"JWT","alg":"ed25519-nkey"}"#, &claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    let signed = coded.join(".");
    let signature = issuer.sign(signed.as_bytes()).expect("signed");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
