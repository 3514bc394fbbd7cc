use super::*;
use crate::elf::head;
use crate::release::image::{Facts, archive};
use crate::tarball::Tarball;

const AMD64: u16 = 62;
const ARM64: u16 = 183;
/// A segment to load, and one that names a loader.
const LOAD: u32 = 1;
const LOADER: u32 = 3;

fn facts() -> Facts {
    Facts {
        version: "1.2.3".to_owned(),
        revision: "0123abcd".to_owned(),
        created: "2026-01-02T03:04:05Z".to_owned(),
        modified: 1_767_323_045,
        source: None,
        notices: vec![("NOTICES.txt".to_owned(), b"By others.".to_vec())],
    }
}

fn made(amd64: &[u8], arm64: &[u8]) -> Vec<u8> {
    let binaries = [(Machine::Amd64, amd64.to_vec()), (Machine::Arm64, arm64.to_vec())];
    archive(&binaries, &facts()).unwrap()
}

fn good() -> Vec<u8> {
    made(&head(AMD64, &[LOAD]), &head(ARM64, &[LOAD]))
}

/// The archive after somebody changed its files.
fn changed(archive: &[u8], change: impl FnOnce(&mut Files)) -> Vec<u8> {
    let mut files = files(archive).unwrap();
    change(&mut files);
    let mut tarball = Tarball::new(0);
    for (path, content) in files {
        tarball.file(&path, 0o644, &content).unwrap();
    }
    tarball.finish().unwrap()
}

fn refusal(archive: &[u8]) -> String {
    format!("{:#}", verify(archive).unwrap_err())
}

#[test]
fn a_good_image_passes_and_is_the_same_when_it_is_made_again() {
    let image = good();
    let shipped = verify(&image).unwrap();
    let machines: Vec<_> = shipped.iter().map(|shipped| shipped.executable.machine).collect();
    assert_eq!(machines, Machine::ALL);
    assert_eq!(shipped[1].bytes, head(ARM64, &[LOAD]));
    assert_eq!(image, good());
    assert!(
        verify(&changed(&image, |_| ())).is_ok(),
        "what the tests below change is otherwise good"
    );
}

#[test]
fn a_binary_for_another_platform_than_its_image_is_found() {
    let swapped = made(&head(ARM64, &[LOAD]), &head(AMD64, &[LOAD]));
    assert_eq!(refusal(&swapped), "linux/amd64: its binary is for linux/arm64");
    let twice = made(&head(AMD64, &[LOAD]), &head(AMD64, &[LOAD]));
    assert_eq!(refusal(&twice), "linux/arm64: its binary is for linux/amd64");
}

#[test]
fn a_configuration_for_another_platform_than_its_manifest_is_found() {
    // The manifests of the two platforms change places in the index, digests and all.
    let swapped = changed(&good(), |files| {
        let mut top: Index = document(&files["index.json"]).unwrap();
        let named = &mut top.manifests[0];
        let old = files.remove(&blob_path(&named.digest).unwrap()).unwrap();
        let mut index: Index = document(&old).unwrap();
        let first = index.manifests[0].platform.take();
        index.manifests[0].platform = std::mem::replace(&mut index.manifests[1].platform, first);
        let new = serde_json::to_vec(&index).unwrap();
        named.digest = digest(&new);
        named.size = new.len() as u64;
        files.insert(blob_path(&named.digest).unwrap(), new);
        files.insert("index.json".to_owned(), serde_json::to_vec(&top).unwrap());
    });
    assert_eq!(refusal(&swapped), "linux/arm64: its configuration says linux/amd64");
}

#[test]
fn a_binary_that_needs_a_loader_is_found() {
    let dynamic = made(&head(AMD64, &[LOAD]), &head(ARM64, &[LOAD, LOADER]));
    assert!(refusal(&dynamic).contains("linux/arm64: its binary needs a loader"));
}

#[test]
fn a_changed_byte_anywhere_is_found() {
    let image = good();
    let blobs = files(&image).unwrap().into_keys().filter(|path| path.starts_with("blobs/"));
    let blobs: Vec<String> = blobs.collect();
    assert_eq!(blobs.len(), 7, "an index, and a manifest, a configuration and a layer for each");
    for blob in blobs {
        let broken = changed(&image, |files| {
            let bytes = files.get_mut(&blob).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
        });
        assert!(refusal(&broken).contains("have another digest"), "{blob}");
        let without = changed(&image, |files| drop(files.remove(&blob)));
        assert!(refusal(&without).contains("is missing"), "{blob}");
    }
}

#[test]
fn an_image_that_says_more_or_less_than_it_holds_is_found() {
    let image = good();
    let stray = changed(&image, |files| drop(files.insert("blobs/sha256/00".into(), vec![1])));
    assert!(refusal(&stray).contains("nothing leads to blobs/sha256/00"));
    for file in ["index.json", "manifest.json", "oci-layout"] {
        let without = changed(&image, |files| drop(files.remove(file)));
        assert!(refusal(&without).contains(file), "{file}");
    }
    let one = archive(&[(Machine::Amd64, head(AMD64, &[LOAD]))], &facts()).unwrap();
    assert_eq!(refusal(&one), "there is none for linux/arm64");
    assert!(verify(b"no archive").is_err());
}

#[test]
fn tags_for_another_platform_are_found() {
    let image = changed(&good(), |files| {
        let mut listed: Vec<DockerImage> = document(&files["manifest.json"]).unwrap();
        let (first, second) = listed.split_at_mut(1);
        std::mem::swap(&mut first[0].repo_tags, &mut second[0].repo_tags);
        files.insert("manifest.json".to_owned(), serde_json::to_vec(&listed).unwrap());
    });
    assert_eq!(refusal(&image), "manifest.json: relay-server:1.2.3-arm64 is for amd64");
}
