//! What is written down agrees with what the code does.

use std::{collections::BTreeMap, fs, path::Path};

use callslip::config::VARIABLES;

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// `.env.example` names every variable, in order, with its default.
#[test]
fn the_example_environment_is_the_code_s() {
    let example = read(".env.example");
    let listed: Vec<(&str, &str)> = example
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| line.chars().next().is_some_and(char::is_uppercase))
        .filter_map(|line| line.split_once('='))
        .collect();
    let known: Vec<(&str, &str)> = VARIABLES.iter().map(|v| (v.name, v.default)).collect();
    assert_eq!(listed, known);
}

/// The README's table of variables says the same.
#[test]
fn the_readme_s_table_of_variables_is_the_code_s() {
    let readme = read("README.md");
    let rows: BTreeMap<&str, &str> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split_once("` | "))
        .filter(|(name, _)| name.contains("CALLSLIP_") || name.contains("DATABASE_URL"))
        .map(|(name, rest)| (name, rest.split(" | ").next().unwrap().trim_matches('`')))
        .collect();
    let known: BTreeMap<&str, &str> = VARIABLES.iter().map(|v| (v.name, v.default)).collect();
    assert_eq!(rows, known);
}

/// The code tour and the recipes name files that exist.
#[test]
fn the_readme_names_files_that_exist() {
    let readme = read("README.md");
    let named: Vec<&str> = readme
        .split('`')
        .filter(|text| {
            ["src/", "tests/", "scripts/", "templates/"].iter().any(|f| text.starts_with(f))
        })
        .filter_map(|text| text.split_whitespace().next())
        .collect();
    assert!(named.len() > 15, "{named:?}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let missing: Vec<&str> = named.into_iter().filter(|name| !root.join(name).exists()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
