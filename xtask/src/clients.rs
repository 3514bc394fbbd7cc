//! What the tests drive that is not ours: the Anthropic SDKs as published, and schemathesis.

use crate::packages::{Language, Package};

/// The Anthropic SDKs. Two versions of each: the current line sends an API key as a bearer token, the last
/// 0.x sends it as `x-api-key`.
pub(crate) const SDKS: &[Package] = &[
    Package { folder: "pynew", language: Language::Python, name: "anthropic", version: "2.12.0" },
    Package { folder: "pyold", language: Language::Python, name: "anthropic", version: "0.125.0" },
    Package {
        folder: "jsnew",
        language: Language::Node,
        name: "@anthropic-ai/sdk",
        version: "1.12.0",
    },
    Package {
        folder: "jsold",
        language: Language::Node,
        name: "@anthropic-ai/sdk",
        version: "0.137.0",
    },
];

/// Calls every operation of an `OpenAPI` document in every way that the document allows and forbids.
pub(crate) const SCHEMATHESIS: Package = Package {
    folder: "schemathesis",
    language: Language::Python,
    name: "schemathesis",
    version: "4.32.5",
};
