//! Rules of the workspace that the compiler cannot check. Every rule is a function that returns what
//! breaks it, so that it can be tried on planted violations.

mod layers;
mod scripts;
mod sources;
mod tree;

#[test]
fn dependencies_keep_to_the_layers_and_walls() {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata = serde_json::from_slice(&output.stdout).unwrap();
    report(&layers::violations(&metadata), "the table is in xtask/tests/tidy/layers.rs");
}

#[test]
fn sources_keep_to_the_house_rules() {
    let files = tree::files_ending("rs").unwrap();
    assert!(files.len() > 20, "the walk found only {} files", files.len());
    let broken: Vec<String> =
        files.iter().flat_map(|file| sources::violations(&file.path, &file.text)).collect();
    report(&broken, "the rules are in xtask/tests/tidy/sources.rs");
    for file in &files {
        if let Some(warning) = sources::warning(&file.path, &file.text) {
            // Not `eprintln`, which the test harness would swallow as long as the test passes.
            std::io::Write::write_all(&mut std::io::stderr(), warning.as_bytes()).unwrap();
        }
    }
}

#[test]
fn scripts_say_what_they_take_and_return() {
    let broken: Vec<String> = tree::files_ending("lua")
        .unwrap()
        .iter()
        .flat_map(|file| scripts::violations(&file.path, &file.text))
        .collect();
    report(&broken, "the rules are in xtask/tests/tidy/scripts.rs");
}

fn report(broken: &[String], see: &str) {
    assert!(broken.is_empty(), "\n{}\n({see})", broken.join("\n"));
}
