//! Everything moves from one installation to another, in one file that only a passphrase opens.

use relay_e2e::{AccountSettings, Relay, Request, Store};
use serde_json::json;

use crate::conversation::streamed;
use crate::stored::{Scope, settled, totals};

/// From each store into the other.
const ROUTES: [(Store, Store); 2] = [(Store::Sqlite, Store::Redis), (Store::Redis, Store::Sqlite)];
const PROXY_PASSWORD: &str = "canary-proxy-password-7d1e";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_moves_into_an_empty_store_and_old_keys_work() {
    for (from, to) in ROUTES {
        Box::pin(moved(from, to)).await;
    }
}

async fn moved(from: Store, to: Store) {
    let mut here = Relay::start(from).await;
    let account = here.account("serving").await;
    let proxy = json!({
        "protocol": "http", "host": "127.0.0.1", "port": 9,
        "auth": {"username": "someone", "password": PROXY_PASSWORD},
    });
    let _proxied =
        here.account(AccountSettings::new("proxied").priority(90).with("proxy", proxy)).await;
    let key = here.key().await;
    assert_eq!(here.send(&Request::messages(&key.secret, streamed())).await.status, 200);
    let records = settled(&here, 1).await;
    let used = totals(&here, Scope::Key(&key.id));
    assert!(here.stop());

    let file = here.data_dir().join("relay.export");
    let file = file.to_str().unwrap();
    let (right, wrong) = (here.data_dir().join("right"), here.data_dir().join("wrong"));
    std::fs::write(&right, "correct horse battery\n").unwrap();
    std::fs::write(&wrong, "incorrect horse battery\n").unwrap();
    let (right, wrong) = (right.to_str().unwrap(), wrong.to_str().unwrap());
    let exported = here.command(&["export", file, "--passphrase-file", right]).await;
    assert!(exported.success, "{}", exported.stderr);
    let again = here.command(&["export", file, "--passphrase-file", right]).await;
    assert!(!again.success, "a file is not written over");
    let bytes = std::fs::read(file).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    for secret in [account.upstream_key.as_str(), PROXY_PASSWORD, &key.id, "argon2", "serving"] {
        assert!(!text.contains(secret), "{secret} can be read in the file");
    }

    let mut there = Relay::with(to).without("ADMIN_PASSWORD").prepare();
    let refused = there.command(&["import", file, "--passphrase-file", wrong]).await;
    assert!(!refused.success && refused.stderr.contains("passphrase"), "{}", refused.stderr);
    let short = format!("{file}.short");
    std::fs::write(&short, &bytes[..bytes.len() - 7]).unwrap();
    let refused = there.command(&["import", &short, "--passphrase-file", right]).await;
    assert!(!refused.success && refused.stderr.contains("cut short"), "{}", refused.stderr);

    let imported = there.command(&["import", file, "--passphrase-file", right]).await;
    assert!(imported.success, "{}", imported.stderr);
    let state = |text: &str| {
        let line = text.lines().find(|line| line.starts_with("state")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!(state(&imported.stdout), state(&exported.stdout));
    assert!(imported.stdout.contains("in the store: the same"), "{}", imported.stdout);
    for secret in [account.upstream_key.as_str(), PROXY_PASSWORD] {
        let told = format!("{}{}{}", imported.stdout, imported.stderr, exported.stderr);
        assert!(!told.contains(secret), "{told}");
        for (name, kept) in crate::stored::everything(&there) {
            assert!(!String::from_utf8_lossy(&kept).contains(secret), "{secret} in {name}");
        }
    }
    let refused = there.command(&["import", file, "--passphrase-file", right]).await;
    assert!(!refused.success && refused.stderr.contains("--merge"), "{}", refused.stderr);
    let merged = there.command(&["import", file, "--passphrase-file", right, "--merge"]).await;
    assert!(merged.success && !merged.stdout.contains("1 added"), "{}", merged.stdout);

    assert_eq!(crate::stored::records(&there), records);
    assert_eq!(totals(&there, Scope::Key(&key.id)), used);
    there.run().await;
    assert_eq!(there.send(&Request::messages(&key.secret, streamed())).await.status, 200);
    assert_eq!(
        account.received().len(),
        2,
        "an old key, on an account whose secret was sealed anew"
    );
}
