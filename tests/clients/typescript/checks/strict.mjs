// oauth4webapi: refuses whatever strays from the RFCs.
import assert from "node:assert/strict";

import * as oauth from "oauth4webapi";

import { test } from "../../common/runner.mjs";
import { REDIRECT_URI, decide } from "../lib/demo.mjs";

// The demonstration is plain http on loopback.
const PLAIN = { [oauth.allowInsecureRequests]: true };

async function discover({ origin, mcpUrl }) {
  const resource = await oauth.processResourceDiscoveryResponse(
    new URL(mcpUrl),
    await oauth.resourceDiscoveryRequest(new URL(mcpUrl), PLAIN),
  );
  assert.deepEqual(resource.authorization_servers, [origin]);
  const issuer = new URL(resource.authorization_servers[0]);
  return oauth.processDiscoveryResponse(
    issuer,
    await oauth.discoveryRequest(issuer, { algorithm: "oauth2", ...PLAIN }),
  );
}

async function register(as, metadata) {
  const response = await oauth.dynamicClientRegistrationRequest(
    as,
    { client_name: "oauth4webapi", redirect_uris: [REDIRECT_URI], ...metadata },
    PLAIN,
  );
  return oauth.processDynamicClientRegistrationResponse(response);
}

/** From registration to tokens; `push` sends the request ahead. */
async function connect(stage, { as, client, authentication, push = false, DPoP }) {
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  let parameters = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri: REDIRECT_URI,
    response_type: "code",
    scope: "search:read offline_access",
    resource: stage.mcpUrl,
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
  });
  if (push) {
    const pushed = await nonced(() =>
      oauth
        .pushedAuthorizationRequest(as, client, authentication, parameters, { DPoP, ...PLAIN })
        .then((response) => oauth.processPushedAuthorizationResponse(as, client, response)),
    );
    parameters = new URLSearchParams({ client_id: client.client_id, request_uri: pushed.request_uri });
  }
  const back = await decide(`${as.authorization_endpoint}?${parameters}`);
  const told = oauth.validateAuthResponse(as, client, back, state);
  return nonced(() =>
    oauth
      .authorizationCodeGrantRequest(as, client, authentication, told, REDIRECT_URI, verifier, { DPoP, ...PLAIN })
      .then((response) => oauth.processAuthorizationCodeResponse(as, client, response)),
  );
}

/** Once more, with the nonce that the server asked for. */
async function nonced(work) {
  try {
    return await work();
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error;
    return work();
  }
}

async function call(stage, token, options = {}) {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list" });
  const headers = new Headers({ "content-type": "application/json", accept: "application/json" });
  return oauth.protectedResourceRequest(token, "POST", new URL(stage.mcpUrl), headers, body, { ...options, ...PLAIN });
}

/** Use the tokens, look into the access token, refresh, give them back. */
async function use(stage, { as, client, authentication, DPoP }, tokens) {
  assert.equal(tokens.scope, "search:read offline_access");
  assert.equal((await nonced(() => call(stage, tokens.access_token, { DPoP }))).status, 200);
  if (!DPoP) {
    const request = new Request(stage.mcpUrl, { headers: { authorization: `Bearer ${tokens.access_token}` } });
    const claims = await oauth.validateJwtAccessToken(as, request, stage.mcpUrl, PLAIN);
    assert.equal(claims.client_id, client.client_id);
  }
  const refreshed = await nonced(() =>
    oauth
      .refreshTokenGrantRequest(as, client, authentication, tokens.refresh_token, { DPoP, ...PLAIN })
      .then((response) => oauth.processRefreshTokenResponse(as, client, response)),
  );
  assert.notEqual(refreshed.refresh_token, tokens.refresh_token);
  assert.equal((await nonced(() => call(stage, refreshed.access_token, { DPoP }))).status, 200);
  const given = await oauth.revocationRequest(as, client, authentication, refreshed.refresh_token, PLAIN);
  await oauth.processRevocationResponse(given);
  await assert.rejects(
    nonced(() => call(stage, refreshed.access_token, { DPoP })),
    oauth.WWWAuthenticateChallengeError,
  );
}

async function dance(stage, metadata, authenticate, options = {}) {
  const as = await discover(stage);
  const client = await register(as, metadata);
  const party = { as, client, authentication: await authenticate(client), ...options };
  await use(stage, party, await connect(stage, party));
}

test("oauth4webapi: a public client", (stage) =>
  dance(stage, { token_endpoint_auth_method: "none" }, () => oauth.None()));

test("oauth4webapi: a secret by Basic", (stage) =>
  dance(stage, { token_endpoint_auth_method: "client_secret_basic" }, (client) =>
    oauth.ClientSecretBasic(client.client_secret),
  ));

test("oauth4webapi: a secret in the body, and a pushed request", (stage) =>
  dance(
    stage,
    { token_endpoint_auth_method: "client_secret_post" },
    (client) => oauth.ClientSecretPost(client.client_secret),
    { push: true },
  ));

// [P-01] Public clients push too.
test("oauth4webapi: a public client that pushes", (stage) =>
  dance(stage, { token_endpoint_auth_method: "none" }, () => oauth.None(), { push: true }));

for (const algorithm of ["ES256", "PS256", "Ed25519"]) {
  test(`oauth4webapi: a signed assertion, ${algorithm}`, async (stage) => {
    const { publicKey, privateKey } = await oauth.generateKeyPair(algorithm, { extractable: true });
    const { kty, crv, x, y, n, e } = await crypto.subtle.exportKey("jwk", publicKey);
    const jwk = JSON.parse(JSON.stringify({ kty, crv, x, y, n, e, kid: "one", use: "sig" }));
    await dance(
      stage,
      { token_endpoint_auth_method: "private_key_jwt", jwks: { keys: [jwk] } },
      () => oauth.PrivateKeyJwt({ key: privateKey, kid: "one" }),
      { push: true },
    );
  });
}

for (const algorithm of ["ES256", "Ed25519"]) {
  test(`oauth4webapi: tokens bound to a key, ${algorithm}`, async (stage) => {
    const pair = await oauth.generateKeyPair(algorithm, { extractable: false });
    const DPoP = oauth.DPoP({}, pair);
    await dance(stage, { token_endpoint_auth_method: "none" }, () => oauth.None(), { DPoP, push: true });
  });
}
