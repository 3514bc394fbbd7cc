//! The `OpenAPI` document against the running server: schemathesis calls every operation in every way that
//! the document allows and in many that it forbids.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::PathBuf;
use std::process::Stdio;

use relay_e2e::{Relay, Request, Store};
use tokio::process::Command;

/// Cases of each operation, beyond those that cover the document's boundaries.
const EXAMPLES: &str = "25";
/// What must hold of every answer. That every case the document allows is accepted is not among it: a
/// password that is wrong and an account that does not exist are well formed.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance,response_headers_conformance,ignored_auth,\
                      unsupported_method,use_after_free";
/// It logs in with what it makes up, and is shut out for it; and it would change the password and so end
/// its own session.
const NOT_CALLED: &str = "^/api/v2/auth/(admin/login|change-password)$";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_store_keeps_the_document() {
    holds(Store::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_keeps_the_document() {
    holds(Store::Redis).await;
}

async fn holds(store: Store) {
    let relay = Relay::start(store).await;
    let _account = relay.account("an account").await;
    let key = relay.key().await;
    let asked = r#"{"model":"claude-sonnet-4-5-20250929","max_tokens":9,"messages":[{"role":"user","content":"Hello."}]}"#;
    // So that there are records, and statistics, to hold against the document.
    for _ in 0..3 {
        let answer = relay.send(&Request::messages(&key.secret, asked)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let clients = PathBuf::from(std::env::var_os("RELAY_CLIENTS_DIR").unwrap());
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(clients.join("schemathesis").join("bin").join("schemathesis"))
        .args(["run", &format!("{}/openapi.json", relay.base_url())])
        .args(["--header", &format!("Authorization: Bearer {}", relay.admin_token().await)])
        .args(["--checks", &CHECKS.replace(' ', "")])
        .args(["--exclude-path-regex", NOT_CALLED])
        // Two at once stumble over Python's reader of its own source, which two threads may confuse.
        .args(["--max-examples", EXAMPLES, "--seed", "1", "--workers", "1"])
        .args(["--suppress-health-check", "all", "--warnings", "off", "--no-color"])
        .current_dir(home.path())
        .env("HOME", home.path())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}\n{}", relay.printed());
}
