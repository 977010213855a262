// What the SDK keeps, and the browser that it opens: the same shape serves both of its versions.
import { REDIRECT_URI, decide } from "./demo.mjs";

export class Provider {
  /** How often a person was sent to the browser. */
  asked = 0;
  /** Where the browser was sent last. */
  back = undefined;
  decision = "approve";

  constructor(name) {
    this.name = name;
  }

  get redirectUrl() {
    return REDIRECT_URI;
  }

  get clientMetadata() {
    return {
      client_name: this.name,
      redirect_uris: [REDIRECT_URI],
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
      token_endpoint_auth_method: "none",
    };
  }

  state() {
    return "a state / with +all= of&it";
  }

  clientInformation() {
    return this.information;
  }

  saveClientInformation(information) {
    this.information = information;
  }

  tokens() {
    return this.kept;
  }

  saveTokens(tokens) {
    this.kept = tokens;
  }

  discoveryState() {
    return this.discovery;
  }

  saveDiscoveryState(discovery) {
    this.discovery = discovery;
  }

  saveCodeVerifier(verifier) {
    this.verifier = verifier;
  }

  codeVerifier() {
    return this.verifier;
  }

  async redirectToAuthorization(url) {
    this.asked += 1;
    this.back = await decide(url, this.decision);
  }
}
