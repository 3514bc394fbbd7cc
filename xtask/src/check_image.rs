//! `cargo xtask check-image`: whether an image archive is what it says it is. Every digest is computed again;
//! for each platform the index, the configuration and the binary have to name the same machine; and each
//! binary is started in every way that this machine has.
#![expect(clippy::print_stdout, reason = "a developer wants to see what was found")]

mod layer;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::{fs, str};

use anyhow::{Context as _, Result, bail, ensure};
use serde::de::DeserializeOwned;

use crate::check_binary;
use crate::elf::{Executable, Machine};
use crate::oci::{
    CONFIG, Descriptor, DockerImage, INDEX, ImageConfig, Index, LAYER, LAYOUT_VERSION, Layout,
    MANIFEST, Manifest, blob_path, digest,
};
use layer::Layer;

/// The files of an archive, by path.
type Files = BTreeMap<String, Vec<u8>>;

/// Opens an archive, verifies it, and starts what it ships.
///
/// # Errors
///
/// Fails with the first thing that is not as it should be.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let [path] = arguments else { bail!("check-image takes the archive of an image") };
    let bytes = fs::read(path).with_context(|| format!("cannot read {path}"))?;
    let shipped = verify(&bytes).with_context(|| format!("{path} cannot be shipped"))?;
    println!("{path}: whole, for {} platforms", shipped.len());
    for Shipped { executable, bytes } in shipped {
        let folder = tempfile::tempdir()?;
        let binary = folder.path().join("relay-server");
        fs::write(&binary, bytes)?;
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o755))?;
        check_binary::start(Path::new(&binary), executable)?;
    }
    Ok(())
}

/// The binary of one platform.
#[derive(Debug)]
pub(crate) struct Shipped {
    executable: Executable,
    bytes: Vec<u8>,
}

/// Verifies all that can be known without running anything.
///
/// # Errors
///
/// Fails with the first thing that is not as it should be.
pub(crate) fn verify(archive: &[u8]) -> Result<Vec<Shipped>> {
    let files = files(archive)?;
    let layout: Layout = document(file(&files, "oci-layout")?)?;
    ensure!(layout.image_layout_version == LAYOUT_VERSION, "it is of another layout");
    let mut walk = Walk { files: &files, reached: BTreeSet::new() };
    let top: Index = document(file(&files, "index.json")?)?;
    let [named] = &top.manifests[..] else { bail!("index.json names more or less than one image") };
    let index: Index = document(walk.blob(named, INDEX)?)?;

    let mut missing = Machine::ALL.to_vec();
    let mut shipped = Vec::new();
    let mut images = BTreeMap::new();
    for descriptor in &index.manifests {
        let machine = claimed(descriptor)?;
        let before = missing.len();
        missing.retain(|other| *other != machine);
        ensure!(missing.len() < before, "{} is there twice", machine.platform());
        let image = walk.image(descriptor, machine).context(machine.platform())?;
        images.insert(image.paths, machine);
        shipped.push(image.shipped);
    }
    let missing: Vec<&str> = missing.into_iter().map(Machine::platform).collect();
    ensure!(missing.is_empty(), "there is none for {}", missing.join(" and "));
    for_docker(&files, &images).context("manifest.json")?;

    let known = walk.reached.iter().map(String::as_str);
    let known: BTreeSet<&str> =
        known.chain(["index.json", "manifest.json", "oci-layout"]).collect();
    let stray = files.keys().find(|path| !known.contains(path.as_str()));
    ensure!(stray.is_none(), "nothing leads to {}", stray.map_or("", String::as_str));
    Ok(shipped)
}

/// Follows descriptors, and remembers what was reached.
struct Walk<'a> {
    files: &'a Files,
    reached: BTreeSet<String>,
}

/// What was found for one platform.
struct Found {
    /// Where configuration and layers lie.
    paths: Vec<String>,
    shipped: Shipped,
}

impl<'a> Walk<'a> {
    /// The blob that a descriptor points at, if it is the one that was meant.
    fn blob(&mut self, descriptor: &Descriptor, media_type: &str) -> Result<&'a [u8]> {
        let Descriptor { digest: named, media_type: given, size, .. } = descriptor;
        ensure!(given == media_type, "{named} is {given}, not {media_type}");
        let path = blob_path(named).with_context(|| format!("{named} is no SHA-256"))?;
        let bytes = file(self.files, &path)?;
        ensure!(digest(bytes) == *named, "the bytes of {named} have another digest");
        ensure!(u64::try_from(bytes.len())? == *size, "{named} is longer or shorter than said");
        self.reached.insert(path);
        Ok(bytes)
    }

    fn image(&mut self, descriptor: &Descriptor, machine: Machine) -> Result<Found> {
        let manifest: Manifest = document(self.blob(descriptor, MANIFEST)?)?;
        let image: ImageConfig = document(self.blob(&manifest.config, CONFIG)?)?;
        ensure!(
            image.os == "linux" && image.architecture == machine.image_architecture(),
            "its configuration says {}/{}",
            image.os,
            image.architecture
        );
        let opened = image.config.env.iter().find(|setting| setting.starts_with("HOST="));
        ensure!(opened.is_none(), "it opens a door that nobody asked for: HOST is set");
        let [layer] = &manifest.layers[..] else { bail!("it has more or less than one layer") };
        let layer = unpacked(self.blob(layer, LAYER)?)?;
        ensure!(
            image.rootfs.diff_ids == [digest(&layer)],
            "its layer unpacks to something else than its configuration says"
        );
        let bytes = Layer::read(&layer)?.binary(&image.config)?;
        let executable = Executable::parse(&bytes).context("its binary cannot be shipped")?;
        let found = executable.machine;
        ensure!(found == machine, "its binary is for {}", found.platform());
        ensure!(executable.is_static, "its binary needs a loader, and there is none in the image");
        let blobs = [&manifest.config].into_iter().chain(&manifest.layers);
        let paths = blobs.filter_map(|blob| blob_path(&blob.digest)).collect();
        Ok(Found { paths, shipped: Shipped { executable, bytes } })
    }
}

/// The machine that an index says a manifest is for.
fn claimed(descriptor: &Descriptor) -> Result<Machine> {
    let platform = descriptor.platform.as_ref().context("a manifest names no platform")?;
    let named = format!("{}/{}", platform.os, platform.architecture);
    let known = Machine::ALL.into_iter().find(|machine| machine.platform() == named);
    known.with_context(|| format!("{named} is no platform of ours"))
}

/// The older list has to show the same images as the index.
fn for_docker(files: &Files, images: &BTreeMap<Vec<String>, Machine>) -> Result<()> {
    let listed: Vec<DockerImage> = document(file(files, "manifest.json")?)?;
    ensure!(listed.len() == images.len(), "it lists more or fewer images than the index");
    for DockerImage { config, repo_tags, layers } in listed {
        let paths: Vec<String> = std::iter::once(config).chain(layers).collect();
        let machine = images.get(&paths).context("it lists an image that the index does not")?;
        let architecture = machine.image_architecture();
        for tag in &repo_tags {
            ensure!(tag.ends_with(architecture), "{tag} is for {architecture}");
        }
    }
    Ok(())
}

fn files(archive: &[u8]) -> Result<Files> {
    let mut files = Files::new();
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        let path = str::from_utf8(&entry.path_bytes())?.to_owned();
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            continue;
        }
        ensure!(kind.is_file(), "{path} is neither file nor folder");
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        ensure!(files.insert(path.clone(), content).is_none(), "{path} is there twice");
    }
    Ok(files)
}

fn file<'a>(files: &'a Files, path: &str) -> Result<&'a [u8]> {
    files.get(path).map(Vec::as_slice).with_context(|| format!("{path} is missing"))
}

fn document<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).context("a document is not as the image layout has it")
}

fn unpacked(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut layer = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut layer).context("its layer")?;
    Ok(layer)
}

#[cfg(test)]
mod tests;
