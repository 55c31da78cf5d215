/** Lines of docs/unverified.md that need a deployment, or Bitbucket, and that no check here settles: by their first column, with the reason. */
export const BY_HAND: Readonly<Record<string, string>> = {
  "API Gateway denies other addresses before it asks the authorizer":
    "it takes a deployment with allowedAddresses",
  "Links obey the allow list": "it takes a deployment with allowedAddresses",
  "Webhooks pass an allow list": "it takes a deployment with allowedAddresses",
  "Lambda sends what the mirror plans, and 200 MB means 200,000,000 bytes at least":
    "it takes a branch of 190 to 196 MB",
  "With a schedule the first deploy leaves no task": "it takes a first deploy with streamTierHours",
  "A sync function's roles, disk and time": "it takes a repository of 4 GB that is not mirrored yet",
  "Bitbucket takes, signs and delivers the webhooks, and what `repo:created`, `repo:deleted`, `repo:transfer` and `project:updated` carry":
    "repositories are created, moved and deleted by an administrator",
  "EventBridge takes what the relay puts there, with the function's role":
    "it takes a rule with a log group as its target",
  "Lambda gives the pages function the other one's answer (`POST /2015-03-31/functions/<name>/invocations`, and `x-amz-function-error` where it failed)":
    "it takes a session of an administrator, and pauses the workspace",
  "Bitbucket lists a workspace's repositories to an access token of one repository or project (the mirror asks that whether it rejects a token)":
    "it takes an access token of one repository",
};
