//! The image of a release: one archive, for every platform, made without a container engine.
//!
//! The archive is an OCI image layout, and also lists its images in the older way that Docker's own image
//! store reads. Relay needs nothing of a system but a kernel: certificates and time zones are in the binary.
//! So there is one layer, with the binary, the licences of what it is made of, and two folders to write to.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use crate::elf::Machine;
use crate::oci::{
    CONFIG, Descriptor, DockerImage, INDEX, ImageConfig, Index, LAYER, LAYOUT_VERSION, Layout,
    MANIFEST, Manifest, Platform, Rootfs, RunConfig, blob_path, digest, only,
};
use crate::tarball::{Owner, ROOT, Tarball, gzip};

/// What the image and its platforms are called.
const NAME: &str = "relay-server";
/// By number, so that an orchestrator sees that it is not root: there is no list of names in the image.
const USER: Owner = Owner(65_532);
/// Where Relay keeps what it keeps.
const DATA: &str = "/data";

/// What is told of a release.
pub(crate) struct Facts {
    pub(crate) version: String,
    /// The commit.
    pub(crate) revision: String,
    /// When it was committed, as RFC 3339 has it.
    pub(crate) created: String,
    /// The same in seconds since 1970.
    pub(crate) modified: u64,
    /// Where the code is to be read.
    pub(crate) source: Option<String>,
    /// The licences that have to travel along, by file name.
    pub(crate) notices: Vec<(String, Vec<u8>)>,
}

/// The archive with the image of these binaries.
///
/// # Errors
///
/// None in practice: it is written to memory.
pub(crate) fn archive(binaries: &[(Machine, Vec<u8>)], facts: &Facts) -> Result<Vec<u8>> {
    let mut blobs = Blobs::default();
    let mut manifests = Vec::new();
    let mut for_docker = Vec::new();
    for (machine, binary) in binaries {
        let layer = layer(binary, facts)?;
        let config = blobs.document(CONFIG, &config(*machine, digest(&layer), facts))?;
        let layers = vec![blobs.add(LAYER, gzip(&layer)?)?];
        let tag = format!("{NAME}:{}-{}", facts.version, machine.image_architecture());
        let path = |blob: &Descriptor| blob_path(&blob.digest).unwrap_or_default();
        for_docker.push(DockerImage {
            config: path(&config),
            repo_tags: vec![tag],
            layers: layers.iter().map(path).collect(),
        });
        let media_type = MANIFEST.to_owned();
        let manifest = Manifest { schema_version: 2, media_type, config, layers };
        let mut descriptor = blobs.document(MANIFEST, &manifest)?;
        let architecture = machine.image_architecture().to_owned();
        descriptor.platform = Some(Platform { architecture, os: "linux".to_owned() });
        manifests.push(descriptor);
    }
    // One name for all: engines that read the layout pick their platform themselves.
    let mut image = blobs.document(INDEX, &index(manifests))?;
    let name = |key: &str, value: String| (key.to_owned(), value);
    image.annotations = BTreeMap::from([
        name("io.containerd.image.name", format!("docker.io/library/{NAME}:{}", facts.version)),
        name("org.opencontainers.image.ref.name", facts.version.clone()),
    ]);

    let layout = Layout { image_layout_version: LAYOUT_VERSION.to_owned() };
    let mut archive = Tarball::new(facts.modified);
    archive.file("oci-layout", 0o644, &serde_json::to_vec(&layout)?)?;
    archive.file("index.json", 0o644, &serde_json::to_vec(&index(vec![image]))?)?;
    archive.file("manifest.json", 0o644, &serde_json::to_vec(&for_docker)?)?;
    archive.folder("blobs", 0o755, ROOT)?;
    archive.folder("blobs/sha256", 0o755, ROOT)?;
    for (path, blob) in blobs.0 {
        archive.file(&path, 0o644, &blob)?;
    }
    archive.finish()
}

/// Blobs by their paths.
#[derive(Default)]
struct Blobs(BTreeMap<String, Vec<u8>>);

impl Blobs {
    fn document(&mut self, media_type: &str, document: &impl Serialize) -> Result<Descriptor> {
        self.add(media_type, serde_json::to_vec(document)?)
    }

    fn add(&mut self, media_type: &str, blob: Vec<u8>) -> Result<Descriptor> {
        let digest = digest(&blob);
        let size = u64::try_from(blob.len())?;
        self.0.extend(blob_path(&digest).map(|path| (path, blob)));
        let media_type = media_type.to_owned();
        let annotations = BTreeMap::new();
        Ok(Descriptor { media_type, digest, size, platform: None, annotations })
    }
}

fn index(manifests: Vec<Descriptor>) -> Index {
    Index { schema_version: 2, media_type: INDEX.to_owned(), manifests }
}

fn layer(binary: &[u8], facts: &Facts) -> Result<Vec<u8>> {
    let mut layer = Tarball::new(facts.modified);
    // A new volume gets the owner and mode of the folder that it covers.
    layer.folder("data", 0o700, USER)?;
    layer.folder("tmp", 0o1777, ROOT)?;
    for folder in ["usr", "usr/local", "usr/local/bin"] {
        layer.folder(folder, 0o755, ROOT)?;
    }
    layer.file("usr/local/bin/relay-server", 0o755, binary)?;
    for folder in ["usr/local/share", "usr/local/share/relay-server"] {
        layer.folder(folder, 0o755, ROOT)?;
    }
    for (name, text) in &facts.notices {
        layer.file(&format!("usr/local/share/relay-server/{name}"), 0o644, text)?;
    }
    layer.finish()
}

/// `HOST` is not among the variables: whoever runs the image says where it listens, as with the binary.
fn config(machine: Machine, layer: String, facts: &Facts) -> ImageConfig {
    let user = USER.0;
    let label =
        |name: &str, value: &str| (format!("org.opencontainers.image.{name}"), value.to_owned());
    let mut labels = BTreeMap::from([
        label("title", "Relay"),
        label("description", "The relay between AI coding clients and their model providers"),
        label("version", &facts.version),
        label("revision", &facts.revision),
        label("created", &facts.created),
        label("licenses", "MIT"),
    ]);
    labels.extend(facts.source.as_deref().map(|source| label("source", source)));
    ImageConfig {
        created: facts.created.clone(),
        architecture: machine.image_architecture().to_owned(),
        os: "linux".to_owned(),
        config: RunConfig {
            user: format!("{user}:{user}"),
            exposed_ports: only("4000/tcp"),
            env: vec!["PATH=/usr/local/bin".to_owned(), format!("RELAY_DATA_DIR={DATA}")],
            entrypoint: vec!["/usr/local/bin/relay-server".to_owned()],
            volumes: only(DATA),
            working_dir: DATA.to_owned(),
            labels,
            stop_signal: "SIGTERM".to_owned(),
        },
        rootfs: Rootfs { kind: "layers".to_owned(), diff_ids: vec![layer] },
    }
}
