//! People: made with a word, signed in with another.

use callslip::{
    sign_in::accounts::{Accounts, NewAccount},
    tenants::{self, Role, Tenant},
    users::{
        User,
        password::{Hashing, Password},
    },
};

use super::{Answer, Browser, TestApp};

/// Everybody's password.
pub const PASSWORD: &str = "nine lanterns by the quay";

/// Somebody with an account.
#[derive(Clone)]
pub struct Person {
    pub app: TestApp,
    pub user: User,
}

impl TestApp {
    /// Acts on accounts, as the command line does them.
    pub fn accounts(&self) -> Accounts {
        Accounts {
            db: self.parts.db.clone(),
            clock: self.clock.clone(),
            hashing: Hashing::start(self.parts.password_cost.clone()),
        }
    }

    /// The tenant with this slug, made if it is missing.
    pub async fn tenant(&self, slug: &str) -> Tenant {
        let mut tx = self.db().control().await.unwrap();
        if let Some(found) = tenants::store::find_by_slug(&mut tx, slug).await.unwrap() {
            return found;
        }
        drop(tx);
        let name = format!("The {slug} company");
        let slug = slug.parse().unwrap();
        self.accounts().create_tenant(&slug, &name.parse().unwrap()).await.unwrap().unwrap()
    }

    /// `NAME@example.org`, in no tenant.
    pub async fn person(&self, name: &str) -> Person {
        self.account(&format!("{name}@example.org"), name, false).await
    }

    /// `NAME@example.org`, who runs the installation.
    pub async fn operator(&self, name: &str) -> Person {
        self.account(&format!("{name}@example.org"), name, true).await
    }

    /// `NAME@TENANT.example` with a role there; the tenant is made if it is missing.
    pub async fn member(&self, tenant: &str, name: &str, role: Role) -> Person {
        let person = self.account(&format!("{name}@{tenant}.example"), name, false).await;
        person.join(tenant, role).await;
        person
    }

    async fn account(&self, email: &str, name: &str, is_operator: bool) -> Person {
        let new = NewAccount {
            email: email.parse().unwrap(),
            name: name.parse().unwrap(),
            password: Password::presented(PASSWORD).unwrap(),
            is_operator,
        };
        let user = self.accounts().create_user(new).await.unwrap().unwrap();
        Person { app: self.clone(), user }
    }
}

impl Person {
    /// Become a member of another tenant too.
    pub async fn join(&self, tenant: &str, role: Role) {
        let tenant = self.app.tenant(tenant).await;
        self.app.accounts().add_member(&tenant, &self.user, role).await.unwrap().unwrap();
    }

    /// A browser in which they have signed in.
    pub async fn sign_in(&self) -> Browser {
        let mut browser = self.app.browser();
        let answer = browser.sign_in(&self.user.email, PASSWORD, "/").await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        browser
    }
}

impl Browser {
    /// Fill in the sign-in form.
    pub async fn sign_in(&mut self, email: &str, password: &str, return_to: &str) -> Answer {
        let fields = [("email", email), ("password", password), ("return_to", return_to)];
        self.submit("/sign-in", "/sign-in", &fields).await
    }

    /// Press the button that signs out; `path` is a page with a form.
    pub async fn sign_out(&mut self, token: &str) -> Answer {
        self.post("/sign-out", &[("csrf_token", token)]).await
    }

    /// The session cookie, where there is one.
    pub fn session(&self) -> Option<&str> {
        self.cookies.get("__Host-sid").map(String::as_str)
    }
}
