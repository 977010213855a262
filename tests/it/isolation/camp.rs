//! A tenant with one of everything, each marked with the tenant's own word.

use callslip::{
    audit::Actor,
    db::TenantScope,
    ids::{DocumentId, TenantId, UserId, VectorStoreId},
    outbound::{Outbound, Policy},
    search::{Reference, Target},
    secret::Secret,
    tenants::{Role, Tenant},
    vector_stores::{Context, Created, NewOpenAi, create_openai},
};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{
    Answer, Assistant, Browser, ORIGIN, Person, TestApp, file,
    openai_fake::{KEY, OpenAi, STORE},
};

/// How many marked volumes a tenant has.
pub(super) const VOLUMES: usize = 16;

/// Both tenants, on one installation.
pub(super) struct Field {
    pub(super) app: TestApp,
    /// The attacker.
    pub(super) acme: Camp,
    /// What it wants to see.
    pub(super) zeta: Camp,
}

/// One tenant.
pub(super) struct Camp {
    /// A word that is in everything of this tenant's and in nothing else.
    pub(super) mark: &'static str,
    pub(super) tenant: Tenant,
    pub(super) owner: Person,
    pub(super) reader: Person,
    /// Of the builtin backend.
    pub(super) books: VectorStoreId,
    /// Of the OpenAI backend.
    pub(super) cloud: VectorStoreId,
    /// In the order of their titles; the last one was uploaded under a marked file name.
    pub(super) documents: Vec<DocumentId>,
    pub(super) assistant: Assistant,
    /// For `/mcp`.
    pub(super) token: String,
    /// For `/t/{tenant}/mcp`.
    pub(super) own_token: String,
}

impl Field {
    pub(super) async fn set(pool: &PgPool) -> Self {
        Self::with(pool, &[]).await
    }

    /// With variables of its own.
    pub(super) async fn with(pool: &PgPool, variables: &[(&str, &str)]) -> Self {
        let clouds = [OpenAi::start_marked("acanary").await, OpenAi::start_marked("zanary").await];
        let hosts = format!("{},{}", clouds[0].host, clouds[1].host);
        let all = [&[("CALLSLIP_OUTBOUND_ALLOW", hosts.as_str())], variables].concat();
        let app = TestApp::with(pool, &all).await;
        // In boxes: tests are large enough without.
        let acme = Box::pin(Camp::pitch(&app, "acme", "acanary", &clouds[0])).await;
        let zeta = Box::pin(Camp::pitch(&app, "zeta", "zanary", &clouds[1])).await;
        Self { app, acme, zeta }
    }
}

/// The tenant's rules for apps, an app that waits for approval, a back end, and a sign-in provider
/// that is switched off, since one that is on says so to everybody.
#[expect(clippy::too_many_lines, reason = "it is a statement for each table")]
async fn plant_rules(app: &TestApp, tenant: TenantId, user: UserId, mark: &str) {
    let client_id = format!("{mark}-back-end");
    for sql in [
        "insert into tenant_oauth_policies (tenant_id, updated_at)
         select $1, now() where $2::uuid is not null and $3::text is not null",
        "insert into embedding_models (tenant_id, vector_store_id, id, base_url, model, dimensions,
                                       created_at)
         select $1, id, 2, 'https://' || $3 || '.example/v1', $3, 8, now() from vector_stores
          where tenant_id = $1 and backend = 'builtin' and $2::uuid is not null",
        // It failed, so that nobody asks it.
        "insert into rerankers (tenant_id, vector_store_id, base_url, model, failed_at, failure,
                                created_at)
         select $1, id, 'https://' || $3 || '.example/v1', $3, now() + interval '99 years', $3, now()
           from vector_stores
          where tenant_id = $1 and backend = 'builtin' and $2::uuid is not null",
        "insert into refused_passages (tenant_id, vector_store_id, document_id, ordinal, model, status,
                                       refused_at)
         select tenant_id, vector_store_id, document_id, ordinal, 2, 413, now() from chunk_index
          where tenant_id = $1 and $2::uuid is not null and $3::text is not null
          order by document_id, ordinal limit 1",
        "insert into tenant_limits (tenant_id, per_minute)
         select $1, 599 where $2::uuid is not null and $3::text is not null",
        "insert into dismissed_questions (tenant_id, fingerprint, at)
         select $1, md5($3), now() where $2::uuid is not null",
        "insert into limit_refusals (tenant_id, day, limit_name, refused)
         select $1, current_date, 'tenant', 1
          where $2::uuid is not null and $3::text is not null",
        "insert into tenant_connections (tenant_id, name, description, updated_at)
         select $1, $3, 'All that ' || $3 || ' knows', now() where $2::uuid is not null",
        "insert into oauth_app_approvals
                (tenant_id, app_identity, client_name, place, requested_by, requested_at)
         select $1, sha256($3::bytea), $3, $3 || '.example', $2, now()",
        "insert into oauth_clients
                (client_id, client_name, source, redirect_uris, grant_types,
                 token_endpoint_auth_methods, secret_hash, created_at)
         select $3, $3, 'tenant', '{}', '{}', '{client_secret_basic}', sha256($3::bytea), now()
          where $1::uuid is not null and $2::uuid is not null",
        "insert into oauth_service_clients
                (tenant_id, client_id, created_by, created_at, expires_at)
         select $1, $3, $2, now(), now() + interval '90 days'",
        "insert into tenant_sso_providers
                (tenant_id, revision, enabled, issuer, client_id, client_secret_sealed,
                 secret_in_body, sends_iss, authorization_endpoint, token_endpoint, jwks_uri,
                 updated_at)
         select $1, gen_random_uuid(), false, 'https://' || $3 || '.example', $3, $3::bytea,
                false, false, 'https://' || $3 || '.example/a', 'https://' || $3 || '.example/t',
                'https://' || $3 || '.example/j', now()
          where $2::uuid is not null",
        "insert into questions (tenant_id, event_id, at, text_sealed)
         select $1, gen_random_uuid(), now(), $3::bytea where $2::uuid is not null",
        "insert into document_versions
                (tenant_id, document_id, version, vector_store_id, title, media_type, content_hash,
                 byte_size, char_count, body, created_at, replaced_at)
         select $1, id, 1, vector_store_id, $3, 'text/plain', sha256($3::bytea), 1, 1, $3, now(), now()
           from documents where tenant_id = $1 and $2::uuid is not null order by id limit 1",
        "insert into api_uploads
                (tenant_id, client_id, idempotency_key, vector_store_id, request_hash, job_id, created_at)
         select $1, $3, $3, id, sha256($3::bytea), gen_random_uuid(), now()
           from vector_stores
          where tenant_id = $1 and backend = 'builtin' and $2::uuid is not null limit 1",
        "insert into watched_places
                (tenant_id, vector_store_id, revision, folder, created_by, created_at, next_look_at)
         select $1, id, gen_random_uuid(), $3, $2, now(), 'infinity'
           from vector_stores where tenant_id = $1 and backend = 'builtin' limit 1",
        "insert into watched_files (tenant_id, vector_store_id, path, mark)
         select $1, vector_store_id, $3, $3
           from watched_places where tenant_id = $1 and $2::uuid is not null",
        "insert into search_recall
                (tenant_id, vector_store_id, recall, questions, chunks, measured_at)
         select $1, id, 1, 20, 20000, now() from vector_stores
          where tenant_id = $1 and backend = 'builtin'
            and $2::uuid is not null and $3::text is not null",
        "insert into sso_links (tenant_id, issuer, subject, user_id, created_at, used_at)
         select $1, 'https://' || $3 || '.example', $3, $2, now(), now()",
        "insert into sso_sign_ins
                (secret_hash, tenant_id, browser_hash, revision, return_to, created_at, expires_at)
         select sha256($3::bytea), $1, sha256($3::bytea), gen_random_uuid(), '/t/' || $3, now(),
                now() + interval '10 minutes'
          where $2::uuid is not null",
        "with node as (
           insert into sse_nodes (id, seen_at) values (gen_random_uuid(), 'infinity') returning id)
         insert into sse_sessions
                (tenant_id, secret_hash, node_id, grant_id, user_id, client_id, opened_at)
         select $1, sha256($3::bytea), node.id, gen_random_uuid(), $2, $3, now() from node",
        "insert into sse_messages (tenant_id, id, secret_hash, sealed, posted_at)
         select $1, gen_random_uuid(), sha256($3::bytea), $3::bytea, 'infinity'
          where $2::uuid is not null",
    ] {
        let insert = sqlx::query(sql).bind(tenant.uuid()).bind(user.uuid()).bind(&client_id);
        insert.execute(&app.pool).await.unwrap();
    }
}

/// A file that could not be read, with what the stages before it left.
async fn plant_file(app: &TestApp, tenant: TenantId, mark: &str) {
    let sql = "with job as (
           insert into ingest_jobs (tenant_id, id, vector_store_id, source_key, source_number,
                                    file_name, media_type, content_hash, byte_size, stage, failure,
                                    run_after, created_at, updated_at)
           select tenant_id, gen_random_uuid(), id, 'upload:' || $2, 0, $2 || '.pdf',
                  'application/pdf', sha256($2::bytea), 1, 'failed', $2, now(), now(), now()
             from vector_stores
            where tenant_id = $1 and backend = 'builtin'
            limit 1
           returning tenant_id, id),
         text as (
           insert into ingest_texts (tenant_id, job_id, draft) select tenant_id, id, $2 from job)
         insert into ingest_chunks (tenant_id, job_id, ordinal, body)
         select tenant_id, id, 0, $2 from job";
    sqlx::query(sql).bind(tenant.uuid()).bind(mark).execute(&app.pool).await.unwrap();
}

/// A question of which the tenant knows what answers it, and a run that asked it.
async fn plant_golden(app: &TestApp, tenant: TenantId, document: Uuid, mark: &str) {
    sqlx::query(
        "with question as (
           insert into golden_questions (tenant_id, id, vector_store_id, question, created_at)
           select tenant_id, gen_random_uuid(), vector_store_id, 'Where is the ' || $3 || '?', now()
             from documents where tenant_id = $1 and id = $2 returning tenant_id, id
         ), answer as (
           insert into golden_documents (tenant_id, question_id, number, document_id)
           select tenant_id, id, 1, $2 from question
         ), run as (
           insert into golden_runs (tenant_id, id, fingerprint, created_at, state, finished_at)
           values ($1, gen_random_uuid(), $3, now(), 'done', now()) returning id
         )
         insert into golden_ranks (tenant_id, run_id, question_id, rank)
         select question.tenant_id, run.id, question.id, 1 from question, run",
    )
    .bind(tenant.uuid())
    .bind(document)
    .bind(mark)
    .execute(&app.pool)
    .await
    .unwrap();
}

impl Camp {
    async fn pitch(app: &TestApp, slug: &str, mark: &'static str, cloud: &OpenAi) -> Self {
        let name = format!("The {mark} company").parse().unwrap();
        let made = app.accounts().create_tenant(&slug.parse().unwrap(), &name).await;
        let tenant = made.unwrap().unwrap();
        let owner = app.member(slug, &format!("{mark}-owner"), Role::Owner).await;
        app.member(slug, &format!("{mark}-admin"), Role::Admin).await;
        let reader = app.member(slug, &format!("{mark}-reader"), Role::Reader).await;
        let scope = TenantScope::proven(tenant.id);
        let books = app.store(slug, &format!("{mark} books")).await;
        let cloud = add_cloud(app, scope, mark, cloud).await;
        fill(app, scope, books, mark).await;
        let documents = sqlx::query_scalar::<_, Uuid>(
            "select id from documents where tenant_id = $1 order by lower(title)",
        )
        .bind(tenant.id.uuid())
        .fetch_all(&app.pool)
        .await
        .unwrap();
        assert_eq!(documents.len(), VOLUMES + 1);

        let metadata = json!({
            "client_name": format!("{mark} assistant"),
            "redirect_uris": [format!("https://{mark}.example/cb")],
        });
        let assistant = app.assistant_with(&metadata).await;
        let mut browser = reader.sign_in().await;
        let text = |tokens: &Value| tokens["access_token"].as_str().unwrap().to_owned();
        let token = text(&assistant.tokens(&mut browser, &[]).await);
        let resource = format!("{ORIGIN}/t/{slug}/mcp");
        let own_token = text(&assistant.tokens(&mut browser, &[("resource", &resource)]).await);
        let given_back = text(&assistant.tokens(&mut browser, &[]).await);
        assert_eq!(assistant.revoke(&given_back).await.status, 200);

        plant_rules(app, tenant.id, reader.user.id, mark).await;
        plant_file(app, tenant.id, mark).await;
        plant_golden(app, tenant.id, documents[0], mark).await;
        let documents = documents.into_iter().map(DocumentId::from).collect();
        let camp = Self {
            mark,
            tenant,
            owner,
            reader,
            books,
            cloud,
            documents,
            assistant,
            token,
            own_token,
        };
        Box::pin(camp.look_around(app)).await;
        camp
    }

    /// Use what is there, so that the audit has something to say, and see that it is marked.
    async fn look_around(&self, app: &TestApp) {
        let found = app.tool("/mcp", &self.token, "search", json!({ "query": self.mark })).await;
        let hits = found["structuredContent"]["results"].as_array().unwrap().clone();
        assert!(hits.len() > 3, "{found}");
        for hit in hits {
            assert!(hit.to_string().contains(self.mark), "{hit}");
        }
        for id in [self.volume(0), self.file()] {
            let read = app.tool("/mcp", &self.token, "fetch", json!({ "id": id })).await;
            assert!(read["structuredContent"]["text"].to_string().contains(self.mark), "{read}");
        }
    }

    /// What `search` calls a volume.
    pub(super) fn volume(&self, number: usize) -> String {
        in_books(self.books, self.documents[number])
    }

    /// What `search` calls a file of the OpenAI store.
    pub(super) fn file(&self) -> String {
        let document = Target::Outside { file_id: "file-homes1".to_owned() };
        Reference { store: self.cloud, document }.to_string()
    }
}

/// What stands in the file `zzz-{mark}-notes.txt`.
pub(super) fn notes(mark: &str) -> String {
    format!("Zzz: the {mark} notes on ledgers, told nowhere else.")
}

/// What `search` calls the first passage of a document.
pub(super) fn in_books(store: VectorStoreId, document: DocumentId) -> String {
    Reference { store, document: Target::Builtin { document, chunk: 0 } }.to_string()
}

impl TestApp {
    /// Send a JSON-RPC message.
    pub(super) async fn rpc(
        &self,
        path: &str,
        token: &str,
        headers: &[(&str, &str)],
        message: &Value,
    ) -> Answer {
        let mut request = axum::http::Request::post(path)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(message.to_string().into()).unwrap()).await
    }

    /// Call a tool that must answer; its result.
    pub(super) async fn tool(&self, path: &str, token: &str, name: &str, args: Value) -> Value {
        let answer = self.rpc(path, token, &[], &call(name, &args)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["result"].clone()
    }
}

impl Browser {
    /// Send the form that is on the page at `path`, with a file.
    pub(crate) async fn upload(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
        file: (&str, &str),
    ) -> Answer {
        let token = self.get(path).await.csrf_token();
        let head = "--cut\r\ncontent-disposition: form-data; name=";
        let mut form = format!("{head}\"csrf_token\"\r\n\r\n{token}\r\n");
        for (name, value) in fields {
            form.push_str(&format!("{head}\"{name}\"\r\n\r\n{value}\r\n"));
        }
        let (name, text) = file;
        form.push_str(&format!("{head}\"file\"; filename=\"{name}\"\r\n\r\n{text}\r\n--cut--\r\n"));
        let request = axum::http::Request::post(path)
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "multipart/form-data; boundary=cut")
            .body(form.into())
            .unwrap();
        self.send(request).await
    }
}

/// `tools/call`
pub(super) fn call(name: &str, arguments: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": { "name": name, "arguments": arguments } })
}

async fn add_cloud(app: &TestApp, scope: TenantScope, mark: &str, cloud: &OpenAi) -> VectorStoreId {
    let context = Context {
        db: app.db().clone(),
        clock: app.clock.clone(),
        outbound: Outbound::new(Policy { allowed: vec![cloud.host.clone()], ..Policy::default() }),
        master_key: app.parts.master_key.clone(),
    };
    let new = NewOpenAi {
        name: format!("{mark} cloud"),
        external_id: STORE.to_owned(),
        base_url: Some(cloud.base_url.clone()),
        api_key: Secret::new(KEY.to_owned()),
    };
    let created = create_openai(&context, scope, &Actor::default(), new).await.unwrap();
    let Created::Created(store) = created else { panic!("{created:?}") };
    store.id
}

/// Volumes with the mark in title, text, metadata and source, and a file with a marked name. Both
/// tenants' texts have the other words in common.
async fn fill(app: &TestApp, scope: TenantScope, store: VectorStoreId, mark: &str) {
    let lines: Vec<String> = (0..VOLUMES)
        .map(|n| {
            let record = json!({
                "_id": format!("{mark}-key-{n}"),
                "title": format!("{mark} volume {n:02}"),
                "text": format!("The {mark} pelican {n:02} keeps its ledger in a harbour office."),
                "url": format!("https://{mark}.example/{n}"),
                "metadata": { "shelf": format!("{mark} shelf") },
            });
            record.to_string()
        })
        .collect();
    let text = notes(mark);
    let files = [
        (format!("{mark}-volumes.jsonl"), lines.join("\n").into_bytes()),
        (format!("zzz-{mark}-notes.txt"), text.into_bytes()),
    ];
    for (file_name, bytes) in files {
        let report = app.ingest(scope, store, file(&file_name, &bytes)).await;
        assert!(report.failed.is_empty(), "{report:?}");
    }
}
