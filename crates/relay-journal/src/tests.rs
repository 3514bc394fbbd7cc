use std::fs::OpenOptions;

use super::*;
use crate::writer::MOST_ASIDE;

const ROOM: u64 = 1 << 20;

fn entries(journal: &Journal) -> Vec<Vec<u8>> {
    journal.oldest(usize::MAX).iter().map(|(_, entry)| entry.to_vec()).collect()
}

#[tokio::test]
async fn what_is_kept_is_there_after_a_restart_until_it_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path(), ROOM).unwrap();
    journal.keep(b"one").await.unwrap();
    let second = journal.keep(b"two").await.unwrap();
    journal.keep(b"three").await.unwrap();
    journal.forget(second);
    assert_eq!(entries(&journal), [&b"one"[..], b"three"]);
    // What comes after it is synced, and with it what came before.
    journal.keep(b"four").await.unwrap();
    reopened(folder.path(), journal, |journal| {
        assert_eq!(entries(journal), [&b"one"[..], b"three", b"four"]);
        for (id, _) in journal.oldest(9) {
            journal.forget(id);
        }
    });
    let journal = Journal::open(folder.path(), ROOM).unwrap();
    assert!(journal.is_empty());
}

/// Ends `journal`, whose thread lets go of the file some time later, and opens it again.
fn reopened(folder: &Path, journal: Journal, check: impl FnOnce(&Journal)) {
    drop_and_wait(folder, journal);
    let journal = Journal::open(folder, ROOM).unwrap();
    check(&journal);
    drop_and_wait(folder, journal);
}

fn drop_and_wait(folder: &Path, journal: Journal) {
    drop(journal);
    until_free(&folder.join("journal.log"));
}

fn until_free(path: &Path) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let free = || OpenOptions::new().read(true).open(path).unwrap().try_lock().is_ok();
    while !free() {
        assert!(std::time::Instant::now() < deadline, "the file stays locked");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_file_torn_at_any_byte_keeps_what_was_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.log");
    let mut ends = vec![std::fs::metadata(folder.path()).map_or(0, |_| 8)];
    {
        let journal = Journal::open(folder.path(), ROOM).unwrap();
        for entry in [&b"first"[..], b"", b"the third one"] {
            journal.keep(entry).await.unwrap();
            ends.push(std::fs::metadata(&path).unwrap().len());
        }
    }
    let whole = std::fs::read(&path).unwrap();
    for cut in 0..=whole.len() {
        let torn = tempfile::tempdir().unwrap();
        std::fs::write(torn.path().join("journal.log"), &whole[..cut]).unwrap();
        let journal = Journal::open(torn.path(), ROOM).unwrap();
        let expected = ends.iter().filter(|end| **end <= cut as u64).count().saturating_sub(1);
        assert_eq!(journal.len(), expected, "cut at {cut}");
        // And it can be written to as if nothing had been.
        journal.keep(b"more").await.unwrap();
        let bytes = std::fs::read(torn.path().join("journal.log")).unwrap();
        let copy = tempfile::tempdir().unwrap();
        std::fs::write(copy.path().join("journal.log"), bytes).unwrap();
        let read = Journal::open(copy.path(), ROOM).unwrap();
        assert_eq!(entries(&read).last().unwrap(), b"more", "cut at {cut}");
        assert_eq!(read.len(), expected + 1, "cut at {cut}");
    }
}

/// A folder with a journal that keeps `entries` and that nobody has open.
async fn closed(entries: &[&[u8]]) -> (tempfile::TempDir, Vec<u8>) {
    let living = tempfile::tempdir().unwrap();
    let journal = Journal::open(living.path(), ROOM).unwrap();
    for entry in entries {
        journal.keep(entry).await.unwrap();
    }
    let whole = std::fs::read(living.path().join("journal.log")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("journal.log"), &whole).unwrap();
    (folder, whole)
}

#[tokio::test]
async fn a_damaged_byte_costs_the_entry_that_it_hits_and_is_told() {
    let (folder, whole) = closed(&[b"first", b"second", b"third"]).await;
    let path = folder.path().join("journal.log");
    for number in 1..=MOST_ASIDE + 2 {
        let mut damaged = whole.clone();
        damaged[40] ^= 0x01;
        std::fs::write(&path, &damaged).unwrap();
        let journal = Journal::open(folder.path(), ROOM).unwrap();
        assert_eq!(entries(&journal), [&b"first"[..], b"third"], "{number}");
        let Damage { places, bytes, aside } = journal.damage().clone();
        assert_eq!((places, bytes), (1, 8 + 9 + "second".len()));
        if number <= MOST_ASIDE {
            let copy = folder.path().join(format!("journal.damaged-{number}"));
            assert_eq!(std::fs::read(&copy).unwrap(), damaged);
            assert_eq!(aside, [copy]);
        } else {
            assert_eq!(aside, [] as [std::path::PathBuf; 0]);
        }
        journal.keep(b"fourth").await.unwrap();
        reopened(folder.path(), journal, |journal| {
            assert_eq!(entries(journal), [&b"first"[..], b"third", b"fourth"], "{number}");
            let is_mended = number <= MOST_ASIDE;
            assert_eq!(journal.damage().places, usize::from(!is_mended), "{number}");
        });
    }
}

/// Whatever is written under this name finds the disk full.
#[cfg(target_os = "linux")]
fn is_full(path: &Path) {
    std::os::unix::fs::symlink("/dev/full", path).unwrap();
}

/// A journal in the middle of which an entry is damaged.
async fn damaged() -> (tempfile::TempDir, Vec<u8>) {
    let (folder, mut bytes) = closed(&[b"first", b"second", b"third"]).await;
    bytes[40] ^= 0x01;
    std::fs::write(folder.path().join("journal.log"), &bytes).unwrap();
    (folder, bytes)
}

fn names(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_copy_for_which_there_is_no_room_leaves_nothing_and_loses_nothing() {
    let (folder, bytes) = damaged().await;
    for _ in 0..=MOST_ASIDE {
        is_full(&folder.path().join("journal.damaged-new"));
        let journal = Journal::open(folder.path(), ROOM).unwrap();
        assert_eq!(entries(&journal), [&b"first"[..], b"third"]);
        assert_eq!((journal.damage().places, journal.damage().aside.len()), (1, 0));
        drop_and_wait(folder.path(), journal);
        assert_eq!(names(folder.path()), ["journal.log"]);
        assert_eq!(std::fs::read(folder.path().join("journal.log")).unwrap(), bytes);
    }
    // There is room again, and no number is used up.
    let journal = Journal::open(folder.path(), ROOM).unwrap();
    let [copy] = &journal.damage().aside[..] else { panic!("one copy") };
    assert_eq!(copy, &folder.path().join("journal.damaged-1"));
    assert_eq!(std::fs::read(copy).unwrap(), bytes);
    assert_eq!(names(folder.path()), ["journal.damaged-1", "journal.log"]);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_that_cannot_be_written_anew_is_used_as_it_is() {
    let (folder, bytes) = damaged().await;
    for number in 0..=u64::from(MOST_ASIDE) {
        is_full(&folder.path().join("journal.new"));
        let journal = Journal::open(folder.path(), ROOM).unwrap();
        assert_eq!(entries(&journal)[..2], [&b"first"[..], b"third"]);
        assert_eq!((journal.damage().places, journal.damage().aside.len()), (1, 0));
        assert_eq!(journal.len() as u64, 2 + number);
        journal.keep(b"more").await.unwrap();
        drop_and_wait(folder.path(), journal);
        assert_eq!(names(folder.path()), ["journal.log"], "the copy would be one of what is there");
        let now = std::fs::read(folder.path().join("journal.log")).unwrap();
        assert!(now.starts_with(&bytes) && now.len() > bytes.len());
    }
    let journal = Journal::open(folder.path(), ROOM).unwrap();
    assert_eq!(journal.damage().aside, [folder.path().join("journal.damaged-1")]);
    drop_and_wait(folder.path(), journal);
    let journal = Journal::open(folder.path(), ROOM).unwrap();
    assert_eq!(journal.damage(), &Damage::default(), "it is mended");
    assert_eq!(journal.len() as u64, 3 + u64::from(MOST_ASIDE));
}

#[tokio::test]
async fn a_copy_that_a_kill_broke_off_is_made_anew() {
    let (folder, bytes) = damaged().await;
    std::fs::write(folder.path().join("journal.damaged-new"), b"half").unwrap();
    let journal = Journal::open(folder.path(), ROOM).unwrap();
    let [copy] = &journal.damage().aside[..] else { panic!("one copy") };
    assert_eq!(copy, &folder.path().join("journal.damaged-1"));
    assert_eq!(std::fs::read(copy).unwrap(), bytes);
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.log");
    std::fs::create_dir(&path).unwrap();
    let error = Journal::open(folder.path(), ROOM).unwrap_err();
    assert!(matches!(error, JournalError::Unusable { .. }), "{error:?}");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
}

#[tokio::test]
async fn what_a_dead_process_left_damaged_is_taken_over_but_for_the_damage() {
    let (folder, mut other) = closed(&[b"mine", b"his"]).await;
    other[12] ^= 0x01;
    std::fs::write(folder.path().join("journal-2.log"), other).unwrap();
    let journal = Journal::open(folder.path(), ROOM).unwrap();
    assert_eq!(entries(&journal), [&b"mine"[..], b"his", b"his"]);
    assert_eq!(journal.damage().places, 1);
    assert_eq!(journal.damage().aside, [folder.path().join("journal-2.damaged-1")]);
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_reads_it_also_when_it_was_written_anew() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, mut bytes) = closed(&[b"first", b"second"]).await;
    bytes[40] ^= 0x01;
    std::fs::write(folder.path().join("journal.log"), bytes).unwrap();
    let _journal = Journal::open(folder.path(), ROOM).unwrap();
    for name in ["journal.log", "journal.damaged-1"] {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn processes_that_share_a_folder_have_files_of_their_own_and_inherit() {
    let folder = tempfile::tempdir().unwrap();
    let first = Journal::open(folder.path(), ROOM).unwrap();
    let second = Journal::open(folder.path(), ROOM).unwrap();
    first.keep(b"of the first").await.unwrap();
    second.keep(b"of the second").await.unwrap();
    assert_eq!((first.len(), second.len()), (1, 1));
    drop(second);
    until_free(&folder.path().join("journal-2.log"));
    reopened(folder.path(), first, |journal| {
        let mut found = entries(journal);
        found.sort();
        assert_eq!(found, [&b"of the first"[..], b"of the second"]);
    });
}

#[tokio::test]
async fn the_file_stays_small_and_room_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.log");
    let journal = Journal::open(folder.path(), 20_000).unwrap();
    let stuck = journal.keep(b"stuck").await.unwrap();
    let entry = vec![7; 10_000];
    for _ in 0..400 {
        let id = journal.keep(&entry).await.unwrap();
        journal.forget(id);
    }
    let last = journal.keep(&entry).await.unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() < 2_000_000, "the file was written anew");
    assert_eq!(entries(&journal)[0], b"stuck");
    assert!(journal.has_room());
    journal.keep(&entry).await.unwrap();
    assert!(!journal.has_room());
    journal.keep(&entry).await.unwrap();
    assert_eq!(journal.len(), 4, "what is under way is kept all the same");
    journal.forget(stuck);
    journal.forget(last);
    assert_eq!(journal.len(), 2);
}

#[test]
fn a_foreign_file_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("journal.log"), b"somebody's diary").unwrap();
    assert!(matches!(Journal::open(folder.path(), ROOM), Err(JournalError::Foreign(_))));
    assert_eq!(std::fs::read(folder.path().join("journal.log")).unwrap(), b"somebody's diary");
}
