//! The main job from outside, with nothing but `demo.json`: the real program on a real socket, the
//! `oauth2` crate and `rmcp` as clients that we did not write.

use std::collections::BTreeMap;

use oauth2::{
    AuthUrl, AuthorizationCode, ClientId, CsrfToken, EndpointNotSet, EndpointSet, HttpRequest,
    HttpResponse, PkceCodeChallenge, RedirectUrl, RefreshToken, Scope, TokenResponse, TokenUrl,
    basic::{BasicClient, BasicTokenResponse},
};
use reqwest::{Client, RequestBuilder, StatusCode, header, redirect};
use rmcp::{
    ServiceExt,
    model::CallToolRequestParams,
    transport::{
        StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use scraper::{ElementRef, Html, Selector};
use serde_json::{Value, json};
use url::Url;

use crate::demo::Installation;

const REDIRECT_URI: &str = "http://127.0.0.1:53124/callback";

type Registered =
    BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

fn http() -> Client {
    Client::builder().redirect(redirect::Policy::none()).no_proxy().build().unwrap()
}

/// A person's browser, as far as forms go.
struct Visitor {
    http: Client,
    origin: String,
    cookies: BTreeMap<String, String>,
}

struct Visit {
    status: StatusCode,
    location: Option<String>,
    page: String,
}

impl Visitor {
    async fn send(&mut self, request: RequestBuilder) -> Visit {
        let cookies: Vec<String> = self.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let answer = request
            .header(header::COOKIE, cookies.join("; "))
            .header("sec-fetch-site", "same-origin")
            .send()
            .await
            .unwrap();
        for cookie in answer.headers().get_all(header::SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let status = answer.status();
        let location = answer.headers().get(header::LOCATION);
        let location = location.map(|value| value.to_str().unwrap().to_owned());
        Visit { status, location, page: answer.text().await.unwrap() }
    }

    /// Open a page, following redirects as long as they stay on the site.
    async fn open(&mut self, url: &str) -> Visit {
        let mut url = Url::parse(&self.origin).unwrap().join(url).unwrap();
        loop {
            let visit = self.send(self.http.get(url.clone())).await;
            match &visit.location {
                Some(next) => url = url.join(next).unwrap(),
                None => return visit,
            }
        }
    }

    /// Fill in the form with the button or field `mark`, and send it.
    async fn submit(&mut self, page: &str, mark: &str, filled: &[(&str, &str)]) -> Visit {
        let (action, mut fields) = form(page, mark);
        for (name, value) in filled {
            fields.retain(|(known, _)| known != name);
            fields.push(((*name).to_owned(), (*value).to_owned()));
        }
        let url = Url::parse(&self.origin).unwrap().join(&action).unwrap();
        let body =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let kind = "application/x-www-form-urlencoded";
        self.send(self.http.post(url).header(header::CONTENT_TYPE, kind).body(body)).await
    }
}

/// Where the page's form with an element `mark` goes, and its fields as they stand.
fn form(page: &str, mark: &str) -> (String, Vec<(String, String)>) {
    let html = Html::parse_document(page);
    let select = |selector: &str| Selector::parse(selector).unwrap();
    let (marked, inputs) = (select(mark), select("input[name]"));
    let form = html
        .select(&select("form"))
        .find(|form| form.select(&marked).next().is_some())
        .unwrap_or_else(|| panic!("no form with {mark} in {page}"));
    let field = |input: ElementRef<'_>| {
        let attribute = |name| input.attr(name).map(str::to_owned);
        let ticked = input.attr("type") != Some("checkbox") || input.attr("checked").is_some();
        ticked.then(|| Some((attribute("name")?, attribute("value").unwrap_or_default())))?
    };
    let fields = form.select(&inputs).filter_map(field).collect();
    (form.attr("action").unwrap().to_owned(), fields)
}

/// From the first 401 to the metadata and a registration.
async fn discover_and_register(mcp_url: &str) -> Registered {
    let http = http();
    let turned_away = http.post(mcp_url).body("{}").send().await.unwrap();
    assert_eq!(turned_away.status(), StatusCode::UNAUTHORIZED);
    let challenge = turned_away.headers()[header::WWW_AUTHENTICATE].to_str().unwrap();
    let metadata_url = challenge.split('"').nth(1).unwrap();
    let resource: Value = http.get(metadata_url).send().await.unwrap().json().await.unwrap();
    assert_eq!(resource["resource"], mcp_url);
    let issuer = resource["authorization_servers"][0].as_str().unwrap();
    let url = format!("{issuer}/.well-known/oauth-authorization-server");
    let server: Value = http.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(server["issuer"], issuer);

    let registration = json!({ "client_name": "Journey", "redirect_uris": [REDIRECT_URI],
                               "token_endpoint_auth_method": "none" });
    let url = server["registration_endpoint"].as_str().unwrap();
    let registered = http.post(url).json(&registration).send().await.unwrap();
    assert_eq!(registered.status(), StatusCode::CREATED);
    let registered: Value = registered.json().await.unwrap();
    let text = |name: &str| server[name].as_str().unwrap().to_owned();
    BasicClient::new(ClientId::new(registered["client_id"].as_str().unwrap().into()))
        .set_auth_uri(AuthUrl::new(text("authorization_endpoint")).unwrap())
        .set_token_uri(TokenUrl::new(text("token_endpoint")).unwrap())
        .set_redirect_uri(RedirectUrl::new(REDIRECT_URI.to_owned()).unwrap())
        .set_auth_type(oauth2::AuthType::RequestBody)
}

/// How the `oauth2` crate reaches the network.
async fn carry(request: HttpRequest) -> Result<HttpResponse, reqwest::Error> {
    let (parts, body) = request.into_parts();
    let answer = http()
        .request(parts.method, parts.uri.to_string())
        .headers(parts.headers)
        .body(body)
        .send()
        .await?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut response = HttpResponse::new(answer.bytes().await?.to_vec());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// Sign-in and consent over the pages' own forms, then the exchange.
async fn connect(visitor: &mut Visitor, client: &Registered, note: &Value) -> BasicTokenResponse {
    let reader = note["users"].as_array().unwrap().last().unwrap();
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state) = client
        .authorize_url(CsrfToken::new_random)
        .add_scope(Scope::new("search:read".to_owned()))
        .add_extra_param("resource", note["mcp_url"].as_str().unwrap())
        .set_pkce_challenge(challenge)
        .url();
    let sign_in = visitor.open(url.as_str()).await;
    let field = |name: &str| reader[name].as_str().unwrap();
    let credentials = [("email", field("email")), ("password", field("password"))];
    let signed_in = visitor.submit(&sign_in.page, "input[name=password]", &credentials).await;
    assert_eq!(signed_in.status, StatusCode::SEE_OTHER, "{}", signed_in.page);
    let consent = visitor.open(&signed_in.location.unwrap()).await;
    let approve = "button[name=decision][value=approve]";
    let approved = visitor.submit(&consent.page, approve, &[("decision", "approve")]).await;
    assert_eq!(approved.status, StatusCode::SEE_OTHER, "{}", approved.page);

    let back = Url::parse(&approved.location.unwrap()).unwrap();
    assert!(back.as_str().starts_with(REDIRECT_URI));
    let answer: BTreeMap<_, _> = back.query_pairs().into_owned().collect();
    assert_eq!(&answer["state"], state.secret());
    assert_eq!(answer["iss"], note["origin"]);
    let exchange = client.exchange_code(AuthorizationCode::new(answer["code"].clone()));
    exchange.set_pkce_verifier(verifier).request_async(&carry).await.unwrap()
}

/// List, search and fetch through `rmcp`; the cited address that came with the fetched section.
async fn search_and_fetch(mcp_url: &str, token: &str) -> String {
    let config = StreamableHttpClientTransportConfig::with_uri(mcp_url).auth_header(token);
    let client = ().serve(StreamableHttpClientTransport::from_config(config)).await.unwrap();
    let tools = client.list_all_tools().await.unwrap();
    assert_eq!(
        tools.iter().map(|tool| tool.name.as_ref()).collect::<Vec<_>>(),
        ["search", "fetch"]
    );
    let call = async |tool: &'static str, arguments: Value| {
        let call = CallToolRequestParams::new(tool);
        let answer = client.call_tool(call.with_arguments(arguments.as_object().unwrap().clone()));
        answer.await.unwrap().structured_content.unwrap()
    };
    let question = json!({ "query": "Are cats attached to their homes?" });
    let found = call("search", question).await;
    let hits = found["results"].as_array().unwrap();
    let about_homes = ["premises to which they are attached", "regain the home"];
    let mut cited = Vec::new();
    for hit in hits.iter().take(3) {
        let fetched = call("fetch", json!({ "id": hit["id"] })).await;
        let words: Vec<&str> = fetched["text"].as_str().unwrap().split_whitespace().collect();
        cited.push((words.join(" "), fetched["url"].as_str().unwrap().to_owned()));
    }
    let first_with = |words: &str| cited.iter().find(|(text, _)| text.contains(words));
    for words in about_homes {
        assert!(first_with(words).is_some(), "{words:?} is in none of the first three: {hits:#?}");
    }
    let (_, url) = first_with("properly trained").unwrap();
    client.cancel().await.unwrap();
    url.clone()
}

/// [C-08] The whole of it: one URL, sign in, search, fetch with a citation, revoke. The call after
/// the revocation is turned away, and so is the refresh.
#[tokio::test(flavor = "multi_thread")]
async fn one_url_sign_in_search_fetch_revoke() {
    let installation = Installation::new();
    let note = installation.start();
    let mcp_url = note["mcp_url"].as_str().unwrap();
    let client = discover_and_register(mcp_url).await;
    let origin = note["origin"].as_str().unwrap().to_owned();
    let mut visitor = Visitor { http: http(), origin, cookies: BTreeMap::new() };
    let tokens = connect(&mut visitor, &client, &note).await;

    let url = search_and_fetch(mcp_url, tokens.access_token().secret()).await;
    let document = visitor.open(&url).await;
    let html = Html::parse_document(&document.page);
    let mark = Selector::parse("mark").unwrap();
    let marked: String = html.select(&mark).flat_map(|mark| mark.text()).collect();
    let marked = marked.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(marked.contains("properly trained, will not touch anything"), "{marked}");

    let refresh = RefreshToken::new(tokens.refresh_token().unwrap().secret().clone());
    let rotated = client.exchange_refresh_token(&refresh).request_async(&carry).await.unwrap();
    search_and_fetch(mcp_url, rotated.access_token().secret()).await;

    let apps = visitor.open("/t/demo/apps").await;
    let revoked = visitor.submit(&apps.page, "dialog button.button-danger", &[]).await;
    assert_eq!(revoked.status, StatusCode::SEE_OTHER, "{}", revoked.page);
    let bearer = rotated.access_token().secret();
    let call = http().post(mcp_url).bearer_auth(bearer).body("{}").send().await.unwrap();
    assert_eq!(call.status(), StatusCode::UNAUTHORIZED);
    let refresh = RefreshToken::new(rotated.refresh_token().unwrap().secret().clone());
    let dead = client.exchange_refresh_token(&refresh).request_async(&carry).await.unwrap_err();
    assert!(format!("{dead:?}").contains("invalid_grant"), "{dead:?}");
}
