//! A file as the source.

use std::fs;

use relay_testkit::eventually;
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

use super::*;

struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("prices.json")
    }

    fn write(&self, text: &str) {
        fs::write(self.path(), text).unwrap();
    }

    async fn keeper(&self) -> PriceKeeper {
        keeper(PriceSource::File(self.path())).await
    }
}

#[tokio::test]
async fn a_file_is_read_at_the_start_and_again_when_it_changes() {
    let desk = Desk::new();
    desk.write(&table(3));
    let keeper = desk.keeper().await;
    assert_eq!(input(&keeper, "house-model"), Some(3));
    assert_eq!(input(&keeper, "claude-opus-5"), Some(5), "the builtin prices are below");
    let status = keeper.status();
    assert_eq!(status.source, desk.path().display().to_string());
    let [builtin, file] = &*status.layers else { panic!("{:?}", status.layers) };
    assert_eq!((builtin.origin, file.origin, file.models), (Origin::Builtin, Origin::File, 1));
    assert_eq!((status.failure, status.models), (None, 190));

    let before = keeper.prices().book();
    desk.write(&table(12));
    keeper.read_if_due().await;
    assert_eq!(input(&keeper, "house-model"), Some(12));
    let picos = |book: &PriceBook| {
        book.lookup("house-model").unwrap().1.rates(ServiceTier::Standard, TokenCount::ZERO).input
    };
    assert_eq!(picos(&before), Some(dollars(3)), "whoever took the book before keeps it");
    assert!(status.loaded_at < keeper.status().loaded_at);
    assert_ne!(file.sha256, keeper.status().layers[1].sha256);
}

#[tokio::test]
async fn a_bad_file_keeps_the_prices_and_says_so_until_it_is_mended() {
    let desk = Desk::new();
    desk.write(&table(3));
    let keeper = desk.keeper().await;
    let good = keeper.status();
    let cut = &table(7)[..90];
    let cases = [
        (cut, "the price table cannot be read: EOF while parsing"),
        ("", "the price table is empty"),
        ("<html>", "the price table is a web page"),
        (
            r#"{"house-model": {"input_cost_per_token": -1}}"#,
            "1 of 1 entries of the price table are wrong, the first: house-model",
        ),
    ];
    for (text, why) in cases {
        desk.write(text);
        keeper.read_if_due().await;
        assert!(failure(&keeper).contains(why), "{text}: {}", failure(&keeper));
        assert_eq!(input(&keeper, "house-model"), Some(3), "{text}");
        let since = keeper.status().failure.unwrap().at;
        keeper.read_if_due().await;
        assert!(keeper.reload().await.is_err(), "{text}");
        assert_eq!(keeper.status().failure.unwrap().at, since, "{text} fails since then");
    }
    fs::remove_file(desk.path()).unwrap();
    keeper.read_if_due().await;
    assert!(failure(&keeper).contains("the file cannot be read"), "{}", failure(&keeper));
    assert_eq!(keeper.status().layers, good.layers);
    assert_eq!(keeper.status().loaded_at, good.loaded_at);

    desk.write(&table(3));
    keeper.read_if_due().await;
    assert_eq!(keeper.status().failure, None, "the same file again is no failure");
    assert_eq!(keeper.status().loaded_at, good.loaded_at, "and no other table");
    desk.write(&table(8));
    keeper.reload().await.unwrap();
    assert_eq!(input(&keeper, "house-model"), Some(8));
}

#[tokio::test]
async fn a_server_starts_without_its_file_and_takes_it_when_it_comes() {
    let desk = Desk::new();
    let keeper = desk.keeper().await;
    assert_eq!(input(&keeper, "claude-opus-5"), Some(5));
    assert!(failure(&keeper).contains("the file cannot be read"));
    desk.write(&table(3));
    keeper.read_if_due().await;
    assert_eq!((input(&keeper, "house-model"), failure(&keeper)), (Some(3), String::new()));
}

#[tokio::test(start_paused = true)]
async fn keeping_looks_by_itself_until_it_is_stopped() {
    let desk = Desk::new();
    desk.write(&table(3));
    let keeper = Arc::new(desk.keeper().await);
    let stop = CancellationToken::new();
    let keeping = TaskTracker::new();
    let (beside, stopping) = (Arc::clone(&keeper), stop.clone());
    keeping.spawn(async move { beside.keep(stopping).await });
    desk.write(&table(25));
    eventually("the new price", async || input(&keeper, "house-model") == Some(25)).await;
    stop.cancel();
    keeping.close();
    keeping.wait().await;
}
