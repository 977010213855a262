//! Every route, with everything that it can be told of the other tenant.

use std::collections::BTreeSet;

use callslip::{
    http::routes::Entry,
    search::{Reference, Target},
};
use sqlx::PgPool;

use super::{
    attacker::{Aim, Attacker, Form, filled},
    camp::{Camp, Field, in_books},
    rows,
};
use crate::support::Answer;

/// The two of them.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) theirs: Aim,
    pub(super) nothing: Aim,
}

/// What must not come back: the mark and every id of the other tenant.
pub(super) struct Oracle {
    mark: &'static str,
    ids: BTreeSet<String>,
}

impl Pair {
    /// With the same slug and id on both sides.
    fn with(&self, slug: (&str, &str), id: (&str, &str)) -> Self {
        let of = |aim: &Aim, slug: &str, id: &str| Aim {
            slug: slug.to_owned(),
            id: id.to_owned(),
            named: aim.named.clone(),
        };
        Self { theirs: of(&self.theirs, slug.0, id.0), nothing: of(&self.nothing, slug.1, id.1) }
    }

    /// `text` as it would be if it spoke of nothing.
    fn masked(&self, text: &str) -> String {
        let mut text = text.to_owned();
        let mut put = |theirs: &str, nothing: &str| text = text.replace(theirs, nothing);
        put(&self.theirs.id, &self.nothing.id);
        for ((_, theirs), (_, nothing)) in self.theirs.named.iter().zip(&self.nothing.named) {
            put(theirs, nothing);
        }
        if self.theirs.slug != self.nothing.slug {
            put(&self.theirs.slug, &self.nothing.slug);
        }
        text
    }
}

impl Field {
    /// What the attacker's requests carry besides.
    pub(super) fn named(&self) -> Pair {
        let zeta = &self.zeta;
        let mut theirs = vec![("tenant", "zeta".to_owned())];
        let mut nothing = vec![("tenant", "nope".to_owned())];
        let store = zeta.books.uuid();
        let user = zeta.owner.user.id.uuid();
        let document = zeta.documents[0].uuid();
        for (name, id) in [
            ("tenant_id", zeta.tenant.id.uuid()),
            ("store", store),
            ("store_id", store),
            ("vector_store_id", store),
            ("owner_id", user),
            ("user_id", user),
            ("document", document),
            ("document_id", document),
        ] {
            theirs.push((name, id.to_string()));
            nothing.push((name, rows::neighbour(id).to_string()));
        }
        let aim = |named| Aim { slug: String::new(), id: String::new(), named };
        Pair { theirs: aim(theirs), nothing: aim(nothing) }
    }

    /// Everything of zeta's that a path can name, with something alike that nothing has.
    async fn names(&self) -> Vec<(String, String)> {
        let zeta = &self.zeta;
        let all = rows::uuids(&self.app.pool, zeta.tenant.id).await;
        let mut names: Vec<(String, String)> = rows::samples(&all)
            .into_iter()
            .map(|(_, id)| (id.to_string(), rows::neighbour(id).to_string()))
            .collect();
        let document = zeta.documents[0];
        let no_document = rows::neighbour(document.uuid()).into();
        let no_store = rows::neighbour(zeta.cloud.uuid()).into();
        let nowhere = Target::Outside { file_id: "file-homes1".to_owned() };
        names.extend([
            (zeta.volume(0), in_books(zeta.books, no_document)),
            // Their document under our store's name.
            (in_books(self.acme.books, document), in_books(self.acme.books, no_document)),
            (zeta.file(), Reference { store: no_store, document: nowhere }.to_string()),
            ("zeta".to_owned(), "nope".to_owned()),
        ]);
        names
    }

    pub(super) async fn oracle(&self) -> Oracle {
        Oracle::of(self, &self.zeta).await
    }

    /// Everything that goes wrong when this attacker tries everything.
    pub(super) async fn leaks(&self, attacker: &Attacker) -> Vec<String> {
        let oracle = self.oracle().await;
        let names = self.names().await;
        let named = self.named();
        let mut wrong = Vec::new();
        let mut tried = 0;
        // Signing out would end the attack; and last comes what goes on in the background, which
        // changes pages.
        let table = self.app.app.table.iter().filter(|entry| entry.path != "/sign-out");
        let mut table: Vec<_> = table.collect();
        table.sort_by_key(|entry| entry.path.ends_with("/quality/run"));
        for entry in table {
            let others = entry.path.replace("{tenant}", "").contains('{');
            let ids = if others { &names[..] } else { &names[..1] };
            let slugs: &[_] = match entry.path.contains("{tenant}") {
                true => &[("acme", "acme"), ("zeta", "nope")],
                false => &[("", "")],
            };
            for (slug, id) in slugs.iter().flat_map(|slug| ids.iter().map(move |id| (slug, id))) {
                let pair = named.with(*slug, (&id.0, &id.1));
                for body in bodies(entry) {
                    tried += 1;
                    let name = |n: usize| format!("planted {n:06}");
                    let theirs = attacker.send(entry, &pair.theirs, *body, &name(2 * tried)).await;
                    let nothing =
                        attacker.send(entry, &pair.nothing, *body, &name(2 * tried + 1)).await;
                    let what = format!(
                        "{} {} {}",
                        attacker.who,
                        entry.method,
                        filled(entry.path, &pair.theirs)
                    );
                    wrong.extend(oracle.judge(&what, &pair, &theirs, &nothing));
                }
            }
        }
        assert!(tried > 150, "{tried}");
        wrong
    }
}

fn bodies(entry: &Entry) -> &'static [Form] {
    match entry.method {
        "POST" => &[Form::UrlEncoded, Form::Multipart, Form::Json],
        _ => &[Form::None],
    }
}

impl Oracle {
    /// What must not come back to the tenant that `camp` is not.
    pub(super) async fn of(field: &Field, camp: &Camp) -> Self {
        let all = rows::uuids(&field.app.pool, camp.tenant.id).await;
        let mut ids: BTreeSet<String> = all.keys().map(ToString::to_string).collect();
        ids.extend([camp.volume(0), camp.file()]);
        Self { mark: camp.mark, ids }
    }

    /// What is of the other tenant's in `text`, other than what was `sent`.
    pub(super) fn find(&self, text: &str, sent: &str) -> Option<String> {
        if let Some(place) = text.to_lowercase().find(self.mark) {
            let near: String = text.to_lowercase()[place..].chars().take(80).collect();
            return Some(near);
        }
        self.ids.iter().find(|id| !sent.contains(*id) && text.contains(*id)).cloned()
    }

    /// What an answer gives away, by what it holds or by how it differs from the answer about
    /// nothing.
    fn judge(&self, what: &str, pair: &Pair, theirs: &Answer, nothing: &Answer) -> Option<String> {
        let whole = |answer: &Answer| format!("{:?}\n{}", answer.headers, answer.text());
        let mut sent = format!("{} {}", pair.theirs.id, pair.theirs.slug);
        for (_, value) in &pair.theirs.named {
            sent.push_str(value);
        }
        if let Some(found) = self.find(&whole(theirs), &sent) {
            return Some(format!("{what}: {} holds {found}", theirs.status));
        }
        if theirs.status != nothing.status {
            return Some(format!("{what}: {} and not {}", theirs.status, nothing.status));
        }
        if pair.masked(theirs.location()) != pair.masked(nothing.location()) {
            return Some(format!("{what}: {} and not {}", theirs.location(), nothing.location()));
        }
        // Both sides: a name that stands on either is the same name then.
        let (theirs, nothing) = (pair.masked(&theirs.text()), pair.masked(&nothing.text()));
        let differ = theirs.lines().zip(nothing.lines()).find(|(a, b)| a != b);
        if theirs == nothing {
            return None;
        }
        Some(format!("{what}: the bodies differ: {differ:?}"))
    }
}

/// [I-06] [I-37] [I-07] Every route, every id of the other tenant in its path, its query and its
/// form, beside our own tenant's name and beside theirs: nothing of theirs comes back, the answer
/// is the one for an id that nothing has, and nothing of theirs has changed.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn every_route_with_every_id_of_the_other_tenant(pool: PgPool) {
    let field = Field::set(&pool).await;
    let before = rows::fingerprint(&pool, field.zeta.tenant.id).await;
    for (who, browser) in [
        ("an owner", field.acme.owner.sign_in().await),
        ("a reader", field.acme.reader.sign_in().await),
        ("nobody", field.app.browser()),
    ] {
        let attacker = Attacker::new(who, browser).await;
        let wrong = field.leaks(&attacker).await;
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let after = rows::fingerprint(&pool, field.zeta.tenant.id).await;
        assert_eq!(rows::changed(&before, &after), Vec::<String>::new(), "by {who}");
    }
}

/// The oracle is not blind: whom it belongs to sees the mark on every page that lists something.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn their_own_pages_are_marked(pool: PgPool) {
    let field = Field::set(&pool).await;
    let oracle = field.oracle().await;
    let mut owner = field.zeta.owner.sign_in().await;
    for page in [
        "/account",
        "/t/zeta",
        "/t/zeta/documents",
        "/t/zeta/vector-stores",
        "/t/zeta/apps",
        "/t/zeta/activity",
        "/t/zeta/service-clients",
        "/t/zeta/members",
        "/t/zeta/sign-in",
        &format!("/d/{}", field.zeta.volume(0)),
        &format!("/d/{}", field.zeta.file()),
    ] {
        let answer = owner.get(page).await;
        assert_eq!(answer.status, 200, "{page}");
        assert!(oracle.find(&answer.text(), "").is_some(), "{page}");
        let ours = field.app.get(page).await;
        assert!(oracle.find(&ours.text(), page).is_none(), "{page}");
    }
}
