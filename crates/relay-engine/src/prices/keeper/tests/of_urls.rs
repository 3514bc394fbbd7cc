//! A URL as the source.

use super::mirror::Mirror;
use super::*;

fn sha256(text: &str) -> String {
    PriceTable::parse(text.as_bytes()).unwrap().sha256().to_owned()
}

fn url(mirror: &Mirror, path: &str) -> PriceUrl {
    PriceUrl::parse(&mirror.url(path)).unwrap()
}

fn source(mirror: &Mirror) -> PriceSource {
    PriceSource::Url { table: url(mirror, "/prices.json"), sha256: None }
}

/// Makes the next look a due one.
async fn look(keeper: &PriceKeeper) {
    keeper.state().ask_again_at = Instant::now();
    keeper.read_if_due().await;
}

#[tokio::test]
async fn a_url_is_asked_at_the_start_and_only_for_what_has_changed() {
    let mirror = Mirror::start().await;
    mirror.set("/prices.json", "200 OK\r\netag: \"one\"", &table(3));
    let keeper = keeper(source(&mirror)).await;
    assert_eq!((input(&keeper, "house-model"), failure(&keeper)), (Some(3), String::new()));
    assert_eq!(keeper.status().layers[1].origin, Origin::Url);
    assert_eq!(mirror.requests(), ["/prices.json"]);

    keeper.read_if_due().await;
    assert_eq!(mirror.requests(), [""; 0], "it is not due for a day");
    let loaded = keeper.status();
    look(&keeper).await;
    assert_eq!(mirror.requests(), ["/prices.json if changed"]);
    assert_eq!(keeper.status().loaded_at, loaded.loaded_at);
    assert!(loaded.checked_at < keeper.status().checked_at);

    mirror.set("/prices.json", "200 OK\r\netag: \"two\"", &table(4));
    look(&keeper).await;
    assert_eq!(input(&keeper, "house-model"), Some(4));
    mirror.requests();
    keeper.reload().await.unwrap();
    assert_eq!(mirror.requests(), ["/prices.json"], "an operator's wish is not conditional");
}

#[tokio::test]
async fn what_a_url_says_wrong_keeps_the_prices_and_is_asked_for_again_soon() {
    let mirror = Mirror::start().await;
    mirror.set("/prices.json", "200 OK", &table(3));
    let keeper = keeper(source(&mirror)).await;
    let huge = format!("{{\"a\": \"{}\"}}", "x".repeat(17 * 1024 * 1024));
    let cases = [
        ("500 Internal Server Error", "", "the URL answered 500"),
        ("404 Not Found", "404: Not Found", "the URL answered 404"),
        ("304 Not Modified", "", "the URL answered 304"),
        ("206 Partial Content", "{", "the URL answered 206"),
        ("200 OK\r\netag: \"bad\"", "<html>sign in</html>", "is a web page"),
        ("200 OK", &huge, "more than 16 MiB"),
        ("302 Found\r\nlocation: http://169.254.169.254/latest", "", "redirects to another host"),
        ("302 Found\r\nlocation: /prices.json", "", "redirects to another host, or too often"),
        ("302 Found", "", "redirects to another host"),
        ("nonsense", "", "the URL cannot be reached"),
    ];
    for (head, body, why) in cases {
        mirror.set("/prices.json", head, body);
        look(&keeper).await;
        assert!(failure(&keeper).contains(why), "{head}: {}", failure(&keeper));
        assert_eq!(input(&keeper, "house-model"), Some(3), "{head}");
        let soon = Instant::now() + RETRY_AFTER;
        assert!(keeper.state().ask_again_at <= soon, "{head}");
    }
    mirror.set("/prices.json", "307 Temporary Redirect\r\nlocation: /moved.json", "");
    mirror.set("/moved.json", "200 OK", &table(5));
    look(&keeper).await;
    assert_eq!((input(&keeper, "house-model"), failure(&keeper)), (Some(5), String::new()));
}

#[tokio::test]
async fn a_published_hash_must_be_that_of_the_table() {
    let mirror = Mirror::start().await;
    mirror.set("/prices.json", "200 OK", &table(3));
    mirror.set("/prices.sha256", "200 OK", &format!("{}  prices.json\n", sha256(&table(3))));
    let hash = Some(url(&mirror, "/prices.sha256"));
    let source = PriceSource::Url { table: url(&mirror, "/prices.json"), sha256: hash };
    let keeper = keeper(source).await;
    assert_eq!(input(&keeper, "house-model"), Some(3));
    mirror.requests();
    look(&keeper).await;
    assert_eq!(mirror.requests(), ["/prices.sha256"], "the table need not be asked for");

    mirror.set("/prices.json", "200 OK\r\netag: \"other\"", &table(4));
    look(&keeper).await;
    assert_eq!(input(&keeper, "house-model"), Some(3), "the published hash is that of the old one");
    for text in [String::new(), "<html>".to_owned(), sha256(&table(9))] {
        mirror.set("/prices.sha256", "200 OK", &text);
        look(&keeper).await;
        assert_eq!(input(&keeper, "house-model"), Some(3), "{text}");
        assert!(failure(&keeper).contains("is published"), "{}", failure(&keeper));
    }
    mirror.set("/prices.sha256", "200 OK", &sha256(&table(4)).to_uppercase());
    look(&keeper).await;
    assert_eq!((input(&keeper, "house-model"), failure(&keeper)), (Some(4), String::new()));
}

#[tokio::test]
async fn nobody_at_the_url_is_no_reason_not_to_start() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let table = PriceUrl::parse(&format!("http://{address}/prices.json?token=hidden")).unwrap();
    let keeper = keeper(PriceSource::Url { table, sha256: None }).await;
    assert_eq!(input(&keeper, "claude-opus-5"), Some(5));
    let status = keeper.status();
    assert!(failure(&keeper).contains("cannot be reached"), "{}", failure(&keeper));
    assert_eq!(status.source, format!("http://{address}/prices.json"));
    assert!(!format!("{status:?}").contains("hidden"));
}
