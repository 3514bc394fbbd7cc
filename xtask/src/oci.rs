//! The documents of an OCI image layout, as far as Relay's images have them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The version of the layout, in the file that marks one.
pub(crate) const LAYOUT_VERSION: &str = "1.0.0";
/// The media type of an index.
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The media type of a manifest.
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of a configuration.
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The media type of a compressed layer.
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// The file that marks a layout.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Layout {
    pub(crate) image_layout_version: String,
}

/// Points at a blob.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: String,
    /// Bytes.
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// What a manifest is for.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Platform {
    pub(crate) architecture: String,
    pub(crate) os: String,
}

/// Names manifests, or other indexes.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    pub(crate) schema_version: u8,
    pub(crate) media_type: String,
    pub(crate) manifests: Vec<Descriptor>,
}

/// What one platform's image is made of.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u8,
    pub(crate) media_type: String,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

/// One platform's image: how it is run, and what its layers are when they are unpacked.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct ImageConfig {
    pub(crate) created: String,
    pub(crate) architecture: String,
    pub(crate) os: String,
    pub(crate) config: RunConfig,
    pub(crate) rootfs: Rootfs,
}

/// How a container of the image is run, unless it is told otherwise.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct RunConfig {
    pub(crate) user: String,
    pub(crate) exposed_ports: Set,
    pub(crate) env: Vec<String>,
    pub(crate) entrypoint: Vec<String>,
    pub(crate) volumes: Set,
    pub(crate) working_dir: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) stop_signal: String,
}

/// Names that each lead to an empty object.
pub(crate) type Set = serde_json::Map<String, serde_json::Value>;

/// The digests of the unpacked layers, the lowest first.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Rootfs {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) diff_ids: Vec<String>,
}

/// One image in the older list, `manifest.json`, that Docker's own image store reads in place of the index.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DockerImage {
    /// A path in the archive.
    pub(crate) config: String,
    pub(crate) repo_tags: Vec<String>,
    /// Paths in the archive.
    pub(crate) layers: Vec<String>,
}

/// A set of one.
pub(crate) fn only(name: &str) -> Set {
    Set::from_iter([(name.to_owned(), serde_json::json!({}))])
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The digest of a blob, as descriptors write it.
pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256(bytes))
}

/// Where the blob with this digest lies in a layout; `None` if that is no digest that we make.
pub(crate) fn blob_path(digest: &str) -> Option<String> {
    digest.strip_prefix("sha256:").map(|hex| format!("blobs/sha256/{hex}"))
}
