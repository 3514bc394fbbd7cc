//! Who may depend on whom. Every package of the workspace stands in the table; add a line with care.

use std::collections::BTreeMap;

/// Our crates that a package may use in what it ships. Dev-dependencies are free.
const LAYERS: &[(&str, &[&str])] = &[
    ("relay-domain", &[]),
    ("relay-crypto", &[]),
    ("relay-journal", &[]),
    ("relay-pricing", &["relay-domain"]),
    ("relay-scheduler", &["relay-domain"]),
    ("relay-protocol", &["relay-domain"]),
    ("relay-store", &["relay-domain"]),
    ("relay-store-redis", &["relay-domain", "relay-store"]),
    ("relay-store-sqlite", &["relay-domain", "relay-store"]),
    (
        "relay-engine",
        &[
            "relay-crypto",
            "relay-domain",
            "relay-journal",
            "relay-pricing",
            "relay-protocol",
            "relay-scheduler",
            "relay-store",
        ],
    ),
    (
        "relay-api",
        &[
            "relay-crypto",
            "relay-domain",
            "relay-engine",
            "relay-pricing",
            "relay-protocol",
            "relay-scheduler",
            "relay-store",
        ],
    ),
    ("relay-metrics", &["relay-api", "relay-domain", "relay-engine", "relay-store"]),
    ("relay-sandbox", &["relay-domain", "relay-protocol"]),
    (
        "relay-server",
        &[
            "relay-api",
            "relay-crypto",
            "relay-domain",
            "relay-engine",
            "relay-journal",
            "relay-metrics",
            "relay-pricing",
            "relay-protocol",
            "relay-sandbox",
            "relay-scheduler",
            "relay-store",
            "relay-store-redis",
            "relay-store-sqlite",
        ],
    ),
    // Test code: the kit knows no adapter, and the black-box tests know nothing of the inside.
    ("relay-testkit", &["relay-domain", "relay-protocol", "relay-sandbox", "relay-store"]),
    ("relay-e2e", &["relay-sandbox", "relay-testkit"]),
    ("xtask", &[]),
];

/// External crates that only the named packages may ship.
const WALLS: &[(&str, &[&str])] = &[
    ("redis", &["relay-store-redis"]),
    ("deadpool-redis", &["relay-store-redis"]),
    ("rusqlite", &["relay-store-sqlite"]),
    ("axum", &["relay-api", "relay-server"]),
    ("hyper", &["relay-api", "relay-engine", "relay-sandbox", "relay-server"]),
    ("hyper-util", &["relay-api", "relay-engine", "relay-sandbox", "relay-server"]),
    ("reqwest", &["relay-engine", "relay-e2e"]),
    ("anyhow", &["relay-server", "xtask"]),
    ("prometheus-client", &["relay-metrics"]),
    (
        "tokio",
        &[
            "relay-api",
            "relay-e2e",
            "relay-engine",
            "relay-journal",
            "relay-sandbox",
            "relay-server",
            "relay-store-redis",
            "relay-store-sqlite",
            "relay-testkit",
            "xtask",
        ],
    ),
];

/// What passes a wall behind a feature that only tests turn on: an optional dependency.
const TEST_FEATURES: &[(&str, &str)] = &[("relay-store", "tokio")];

/// What breaks the table, from the output of `cargo metadata --no-deps`.
pub(crate) fn violations(metadata: &serde_json::Value) -> Vec<String> {
    let layers: BTreeMap<_, _> = LAYERS.iter().copied().collect();
    let walls: BTreeMap<_, _> = WALLS.iter().copied().collect();
    let mut broken = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(allowed) = layers.get(name) else {
            broken.push(format!("{name} is not in the table of layers"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            if dependency["kind"] == "dev" {
                continue;
            }
            let on = dependency["name"].as_str().unwrap_or_default();
            let ours = layers.contains_key(on) || on.starts_with("relay-");
            let for_tests = dependency["optional"] == true && TEST_FEATURES.contains(&(name, on));
            let beyond_wall =
                walls.get(on).is_some_and(|owners| !owners.contains(&name)) && !for_tests;
            if (ours && !allowed.contains(&on)) || beyond_wall {
                broken.push(format!("{name} may not depend on {on}"));
            }
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> serde_json::Value {
        let dependencies: Vec<_> = dependencies
            .iter()
            .map(|(on, kind)| serde_json::json!({"name": on, "kind": kind}))
            .collect();
        serde_json::json!({"packages": [{"name": name, "dependencies": dependencies}]})
    }

    #[test]
    fn planted_dependencies_are_found() {
        let cases = [
            ("the domain knows nobody", "relay-domain", "relay-crypto"),
            ("pricing does not know its neighbour", "relay-pricing", "relay-crypto"),
            ("the engine does not know an adapter", "relay-engine", "relay-store-redis"),
            ("the adapters do not know each other", "relay-store-redis", "relay-store-sqlite"),
            ("the sandbox stays a plain upstream", "relay-sandbox", "relay-engine"),
            ("the edge does not know an adapter", "relay-api", "relay-store-sqlite"),
            ("the test kit is not shipped", "relay-server", "relay-testkit"),
            ("the test kit knows no adapter", "relay-testkit", "relay-store-redis"),
            ("black box means black box", "relay-e2e", "relay-engine"),
            ("only the Redis adapter speaks Redis", "relay-engine", "redis"),
            ("the scheduler knows no runtime", "relay-scheduler", "tokio"),
            ("typed errors below the binary", "relay-store", "anyhow"),
        ];
        for (name, from, on) in cases {
            for kind in [None, Some("build")] {
                let expected = vec![format!("{from} may not depend on {on}")];
                assert_eq!(violations(&package(from, &[(on, kind)])), expected, "{name}");
            }
            assert_eq!(violations(&package(from, &[(on, Some("dev"))])), Vec::<String>::new());
        }
    }

    #[test]
    fn what_the_table_allows_passes() {
        let engine = package("relay-engine", &[("relay-store", None), ("hyper", None)]);
        assert_eq!(violations(&engine), Vec::<String>::new());
    }

    #[test]
    fn a_wall_opens_for_a_test_feature_only() {
        let mut store = package("relay-store", &[("tokio", None)]);
        assert_eq!(violations(&store), ["relay-store may not depend on tokio"]);
        store["packages"][0]["dependencies"][0]["optional"] = true.into();
        assert_eq!(violations(&store), Vec::<String>::new());
    }

    #[test]
    fn a_package_must_stand_in_the_table() {
        assert_eq!(
            violations(&package("relay-misc", &[])),
            ["relay-misc is not in the table of layers"]
        );
    }
}
