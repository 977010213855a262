//! The shape of the code: who may import whom, and where SQL may stand.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What every module may import.
const KERNEL: &[&str] = &["ids", "clock", "secret", "fault", "deadline", "progress"];

/// Each module and what else it may import, in build order: a row may name only rows above it.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("ids", &[]),
    ("clock", &[]),
    ("secret", &[]),
    ("fault", &[]),
    ("deadline", &[]),
    ("progress", &[]),
    ("neutral", &[]),
    ("config", &[]),
    ("db", &[]),
    ("problems", &["db"]),
    ("http", &["config", "problems"]),
    ("telemetry", &["config", "db", "problems", "http"]),
    ("limits", &["db", "http"]),
    ("outbound", &[]),
    ("jose", &["http", "limits", "outbound"]),
    ("audit", &["db", "http"]),
    ("tenants", &["neutral", "db", "audit"]),
    ("users", &["db", "audit", "tenants"]),
    (
        "sign_in",
        &["config", "db", "http", "limits", "outbound", "jose", "audit", "tenants", "users"],
    ),
    ("questions", &["db", "audit", "tenants"]),
    ("vector_stores", &["db", "outbound", "audit", "tenants"]),
    (
        "oauth",
        &[
            "config",
            "db",
            "problems",
            "http",
            "limits",
            "outbound",
            "jose",
            "audit",
            "tenants",
            "users",
            "sign_in",
            "vector_stores",
        ],
    ),
    ("embeddings", &["outbound"]),
    (
        "documents",
        &[
            "neutral",
            "db",
            "problems",
            "outbound",
            "audit",
            "tenants",
            "vector_stores",
            "embeddings",
        ],
    ),
    (
        "search",
        &["neutral", "db", "outbound", "tenants", "vector_stores", "embeddings", "documents"],
    ),
    ("golden", &["neutral", "db", "vector_stores", "embeddings", "documents", "search"]),
    ("watch", &["db", "outbound", "audit", "tenants", "documents"]),
    (
        "mcp",
        &[
            "neutral",
            "config",
            "db",
            "http",
            "limits",
            "telemetry",
            "audit",
            "questions",
            "oauth",
            "search",
        ],
    ),
    (
        "api",
        &[
            "config",
            "db",
            "http",
            "limits",
            "audit",
            "questions",
            "vector_stores",
            "oauth",
            "documents",
            "search",
        ],
    ),
    (
        "admin",
        &[
            "watch",
            "neutral",
            "config",
            "db",
            "problems",
            "http",
            "limits",
            "audit",
            "tenants",
            "questions",
            "users",
            "sign_in",
            "vector_stores",
            "oauth",
            "documents",
            "search",
            "golden",
            "outbound",
        ],
    ),
    ("fuzzing", &["neutral", "http", "oauth", "documents", "mcp"]),
    (
        "app",
        &[
            "watch",
            "config",
            "db",
            "problems",
            "http",
            "telemetry",
            "limits",
            "outbound",
            "audit",
            "tenants",
            "questions",
            "users",
            "sign_in",
            "vector_stores",
            "oauth",
            "embeddings",
            "documents",
            "search",
            "golden",
            "mcp",
            "api",
            "admin",
        ],
    ),
    (
        "cli",
        &[
            "watch",
            "config",
            "db",
            "problems",
            "http",
            "telemetry",
            "limits",
            "outbound",
            "audit",
            "tenants",
            "questions",
            "users",
            "sign_in",
            "vector_stores",
            "oauth",
            "embeddings",
            "documents",
            "search",
            "golden",
            "mcp",
            "admin",
            "app",
        ],
    ),
];

/// Every source file, with the module that it belongs to.
fn sources() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(&root).unwrap();
                let first = relative.iter().next().unwrap().to_str().unwrap();
                let module = first.trim_end_matches(".rs").to_owned();
                let text = fs::read_to_string(&path).unwrap();
                found.push((module, relative.to_owned(), text));
            }
        }
    }
    found
}

/// The modules that a text names as `crate::…`, in paths and in grouped imports.
fn imports(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => {
                names.extend(top_level_items(group).iter().map(|item| leading_name(item)))
            }
            None => names.push(leading_name(rest)),
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The items of a braced import, its nested braces left whole.
fn top_level_items(group: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut depth = 0;
    for character in group.chars() {
        match character {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => items.push(String::new()),
            _ => {}
        }
        if let Some(item) = items.last_mut()
            && !(character == ',' && depth == 0)
        {
            item.push(character);
        }
    }
    items
}

fn leading_name(path: &str) -> String {
    path.trim_start().chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect()
}

#[test]
fn the_scanner_sees_every_form_of_import() {
    let text =
        "use crate::{ids::TenantId, db::{Db, TenantTx}, fault};\nfn f() { crate::http::page() }";
    assert_eq!(imports(text), ["ids", "db", "fault", "http"]);
}

#[test]
fn the_table_is_in_build_order() {
    for (row, (module, allowed)) in MAY_IMPORT.iter().enumerate() {
        for name in *allowed {
            assert!(
                MAY_IMPORT[..row].iter().any(|(above, _)| above == name),
                "{module} names {name}, which is not above it"
            );
        }
    }
}

#[test]
fn modules_import_only_what_their_row_says() {
    let mut wrong = Vec::new();
    for (module, path, text) in sources() {
        if ["lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("{}: module {module} is not in the table", path.display()));
            continue;
        };
        for import in imports(&text) {
            let fine = import == module
                || KERNEL.contains(&import.as_str())
                || allowed.contains(&import.as_str());
            if !fine {
                wrong.push(format!("{}: imports {import}", path.display()));
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sql_stands_in_stores_and_db_only() {
    let wrong: Vec<String> = sources()
        .into_iter()
        .filter(|(module, path, text)| {
            let name = path.file_name().unwrap().to_str().unwrap();
            let inside_store = path.iter().any(|part| part.to_str().unwrap().starts_with("store"));
            text.contains("sqlx::query")
                && module != "db"
                && !inside_store
                && !name.starts_with("store")
        })
        .map(|(_, path, _)| path.display().to_string())
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn stores_search_and_kernel_know_nothing_of_http() {
    let wrong: Vec<String> = sources()
        .into_iter()
        .filter(|(module, path, text)| {
            let name = path.file_name().unwrap().to_str().unwrap();
            let apart = name.starts_with("store")
                || KERNEL.contains(&module.as_str())
                || ["search", "vector_stores", "documents", "db"].contains(&module.as_str());
            apart && text.contains("axum")
        })
        .map(|(_, path, _)| path.display().to_string())
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}
