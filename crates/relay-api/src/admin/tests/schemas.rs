//! The document's schemas: no two may have one name, for the document keeps one of them and so says of the
//! other what is not so.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The types below `folder` that make a schema, each with its file.
fn schemas(folder: &Path, found: &mut Vec<(String, PathBuf)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            schemas(&path, found);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if !(line.trim_start().starts_with("#[derive(") && line.contains("ToSchema")) {
                continue;
            }
            let name = lines.by_ref().find_map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                let place = words.iter().position(|word| matches!(*word, "struct" | "enum"))?;
                let name = words.get(place + 1)?.split(['<', '(', ';']).next()?;
                Some(name.to_owned())
            });
            found.push((name.unwrap(), path.clone()));
        }
    }
}

#[test]
fn no_two_schemas_have_one_name() {
    let mut found = Vec::new();
    schemas(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(50 < found.len(), "{}", found.len());
    let mut by_name: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    // A record that a macro makes has its name from the macro's caller.
    for (name, path) in found.into_iter().filter(|(name, _)| !name.starts_with('$')) {
        by_name.entry(name).or_default().push(path);
    }
    by_name.retain(|_, paths| paths.len() > 1);
    assert!(by_name.is_empty(), "{by_name:#?}");
}

/// Every reference in `value`.
fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_schema_that_is_referred_to_is_there() {
    let document: Value = serde_json::from_str(&crate::openapi::document()).unwrap();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(50 < found.len(), "{}", found.len());
    found.retain(|reference| document.pointer(reference.trim_start_matches('#')).is_none());
    assert!(found.is_empty(), "{found:?}");
}
