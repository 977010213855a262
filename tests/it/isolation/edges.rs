//! Names that are no names.

use callslip::http::routes::Entry;
use sqlx::PgPool;

use super::{
    attacker::{Aim, Attacker, Form},
    camp::Field,
};

const ODD: &[&str] = &[
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "",
    "%00",
    "acme%00",
    "%ff%fe",
    "%D9%A1%D9%A2%D9%A3",
    "ACME",
    "acme%20",
    "%2e%2e%2fzeta",
    "..%5c..",
    "acme%2f..%2fzeta",
    "zeta%3b",
    "%25",
    "*",
    "-1",
];

/// [I-40] Nil and all-ones ids, nothing at all, control characters, other scripts' digits,
/// traversal and ten thousand characters, in every place of every path: there is no such thing, and
/// nothing breaks.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn odd_names_name_nothing(pool: PgPool) {
    let field = Field::set(&pool).await;
    let oracle = field.oracle().await;
    let owner = Attacker::new("an owner", field.acme.owner.sign_in().await).await;
    let long = "a".repeat(10_000);
    let with_parameters = |entry: &&Entry| entry.path.contains('{') && entry.method != "OPTIONS";
    for entry in field.app.app.table.iter().filter(with_parameters) {
        for odd in ODD.iter().copied().chain([long.as_str()]) {
            let own = field.acme.volume(0);
            for (slug, id) in [(odd, own.as_str()), ("acme", odd), (odd, odd)] {
                let aim = Aim { slug: slug.to_owned(), id: id.to_owned(), named: Vec::new() };
                let form = if entry.method == "POST" { Form::UrlEncoded } else { Form::None };
                let answer = owner.send(entry, &aim, form, "Odd").await;
                let path = entry.path;
                // Without a name it is another path. A server card does not say whether there is
                // such a tenant.
                let names_nothing = !odd.is_empty()
                    && !path.ends_with("/server-card")
                    && (path.contains("{tenant}") && slug == odd
                        || path.replace("{tenant}", "").contains('{') && id == odd);
                let status = answer.status.as_u16();
                assert!(status < 500, "{path} {slug} {id}: {status}");
                // An access token is asked for before anything is looked up.
                assert!(
                    !names_nothing || matches!(status, 400 | 401 | 404 | 405 | 413 | 414),
                    "{path} {slug} {id}: {status}"
                );
                assert_eq!(oracle.find(&answer.text(), ""), None, "{path} {slug} {id}");
            }
        }
    }
}
