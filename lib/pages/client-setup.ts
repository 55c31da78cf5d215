/**
 * How a client comes to read from the mirror and to push to the primary: lines of git's configuration, and `/-/setup.sh`, which adds them
 * to the user's own and takes them out again; `/-/setup.ps1` is in powershell-setup.ts. Source: git-config(1), `url.<base>.insteadOf`.
 */

export interface ClientSetup {
  /** Without a slash at its end. */
  readonly mirrorUrl: string;
  /** The same of Bitbucket for git. */
  readonly primaryUrl: string;
}

/** What may be added to the first part. */
export const SETUP_OPTIONS = {
  ssh: "also for remotes by SSH (git@…): reads need an HTTPS credential then",
  fast: "packs and bundles straight from the store (git 2.40 or later), from every server that offers them",
  credential: "log in at the mirror with the credential that git has for Bitbucket",
} as const;

export type SetupOption = keyof typeof SETUP_OPTIONS;

/** @returns Lines of a configuration file, each with its end. */
export function clientConfig(setup: ClientSetup, option?: SetupOption): string {
  const { mirrorUrl, primaryUrl } = quotable(setup);
  const host = new URL(primaryUrl).hostname;
  switch (option) {
    case undefined:
      return section(`url "${mirrorUrl}/"`, `insteadOf = ${primaryUrl}/`).concat(
        section(`url "${primaryUrl}/"`, `pushInsteadOf = ${primaryUrl}/`),
      );
    case "ssh":
      return [`git@${host}:`, `ssh://git@${host}/`]
        .map(
          (base) =>
            section(`url "${mirrorUrl}/"`, `insteadOf = ${base}`) +
            section(`url "${base}"`, `pushInsteadOf = ${base}`),
        )
        .join("");
    case "fast": {
      const protocols = mirrorUrl.startsWith("https:") ? "https" : "http,https";
      return section("transfer", "bundleURI = true") + section("fetch", `uriProtocols = ${protocols}`);
    }
    case "credential": {
      const asked = `protocol=${new URL(primaryUrl).protocol.slice(0, -1)}\\\\nhost=${new URL(primaryUrl).host}\\\\n\\\\n`;
      const fill = `printf '${asked}' | git credential fill | sed -n '/^username=/p;/^password=/p'`;
      return section(`credential "${mirrorUrl}"`, `helper = "!f() { test \\"$1\\" = get && ${fill}; }; f"`);
    }
  }
}

/** For remotes with a username, as in `https://you@bitbucket.org/…`: git compares addresses as they are written. */
export function usernameConfig(setup: ClientSetup, username: string): string {
  const { mirrorUrl, primaryUrl } = quotable(setup);
  const withName = `${primaryUrl.replace("://", `://${username}@`)}/`;
  return section(`url "${mirrorUrl}/"`, `insteadOf = ${withName}`).concat(
    section(`url "${withName}"`, `pushInsteadOf = ${withName}`),
  );
}

/** What a username in a remote's address may be. */
export const USERNAME_PATTERN = "[A-Za-z0-9._%+-]+";

export const USERNAME_HELP =
  "also for remotes with this username, as https://you@bitbucket.org/… (repeatable)";

/** Addresses without what has a meaning in a configuration file or within quotes of a shell. `URL` has encoded the rest. */
export function quotable({ mirrorUrl, primaryUrl }: ClientSetup): ClientSetup {
  const encode = (character: string) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
  const quote = (url: string) =>
    new URL(url).href.replace(/\/+$/, "").replace(/[^\w\-.~:/?[\]@!&()*+,=%]/g, encode);
  return { mirrorUrl: quote(mirrorUrl), primaryUrl: quote(primaryUrl) };
}

function section(name: string, line: string): string {
  return `[${name}]\n\t${line}\n`;
}

/** @returns A POSIX shell script that needs git, awk, grep, head and tail. */
export function setupScript(setup: ClientSetup): string {
  const { mirrorUrl, primaryUrl } = quotable(setup);
  const names = Object.keys(SETUP_OPTIONS) as SetupOption[];
  const parts = names.map(
    (name) => `  if [ "$${name}" = 1 ]; then cat <<'END'
${clientConfig(setup, name)}END
  fi
`,
  );
  return `#!/bin/sh
# Makes git read from the mirror ${mirrorUrl} what remotes name at ${primaryUrl}, in existing clones too; pushes still go there.
# It adds lines to your own git configuration, between two marks, and --undo takes exactly those out again.
#
#   sh setup.sh --dry-run    show the lines, and change nothing
#   sh setup.sh              add them, or replace those of an earlier run
#   sh setup.sh --undo       take them out
#
# Options of the first two:
${names.map((name) => `#   --${name.padEnd(14)} ${SETUP_OPTIONS[name]}`).join("\n")}
#   --username=you   ${USERNAME_HELP}
set -eu
export LC_ALL=C
begin='# nearside ${mirrorUrl} begin'
end='# nearside ${mirrorUrl} end'
${names.map((name) => `${name}=0`).join(" ")} usernames= action=add
for argument in "$@"; do
  case $argument in
    --dry-run) action=show ;;
    --undo) action=undo ;;
    -h|--help) sed -n '2,/^set/{/^#/s/^# \\{0,1\\}//p;}' "$0"; exit 0 ;;
${names.map((name) => `    --${name}) ${name}=1 ;;\n`).join("")}    --username=*[!A-Za-z0-9._%+-]*|--username=) echo "setup.sh: not a username: $argument" >&2; exit 2 ;;
    --username=*) usernames="$usernames \${argument#--username=}" ;;
    *) echo "setup.sh: unknown argument $argument; --help shows those that there are" >&2; exit 2 ;;
  esac
done

# The file that "git config --global" writes.
xdg=\${XDG_CONFIG_HOME:-\${HOME:-}/.config}/git/config
if [ -n "\${GIT_CONFIG_GLOBAL:-}" ]; then file=$GIT_CONFIG_GLOBAL
elif [ -z "\${HOME:-}" ]; then echo "setup.sh: HOME is not set: set it, or GIT_CONFIG_GLOBAL" >&2; exit 2
elif [ ! -e "$HOME/.gitconfig" ] && [ -e "$xdg" ]; then file=$xdg
else file=$HOME/.gitconfig; fi

lines() {
  cat <<'END'
${clientConfig(setup)}END
${parts.join("")}  for username in $usernames; do sed "s/{username}/$username/g" <<'END'
${usernameConfig(setup, "{username}")}END
  done
}

# Prints where the lines begin and end, in bytes, and what else --undo must take back. Editors may have changed ends of lines.
find_lines() {
  awk -v begin="$begin" -v end="$end" '
    { size = length($0) + 1; before = 1 + returned; returned = sub(/\\r$/, "") }
    index($0, begin) == 1 { start = bytes + 0; newline = before; note = substr($0, length(begin) + 2); found = 1 }
    { bytes += size }
    found && $0 == end { print start, bytes, newline, note; exit }' "$file"
}

# The file keeps its permissions, and stays a link if it is one. Sets undone to 1 if there were lines.
undo() {
  undone=0
  [ -e "$file" ] || return 0
  place=$(find_lines)
  if [ -z "$place" ]; then
    ! grep -qF -e "$begin" -e "$end" "$file" || { echo "setup.sh: $file has one mark of the mirror without the other: remove its lines by hand" >&2; exit 1; }
    return 0
  fi
  undone=1
  set -- $place
  start=$1 stop=$2 newline=$3 note=\${4:-}
  # Unless there are lines behind by now.
  [ "$note" != newline ] || [ "$stop" -lt "$(wc -c <"$file")" ] || start=$((start - newline))
  copy=$(mktemp)
  { head -c "$start" "$file"; tail -c "+$((stop + 1))" "$file"; } >"$copy"
  if [ "$note" = new ] && [ ! -s "$copy" ]; then rm "$file"; else cat "$copy" >"$file"; fi
  rm "$copy"
}

case $action in
  show) echo "These lines would be in $file:"; lines ;;
  undo)
    undo
    if [ "$undone" = 1 ]; then echo "$file has no lines of the mirror any more."
    else echo "$file has no lines of this mirror (${mirrorUrl}): nothing was changed."; fi ;;
  add)
    undo
    note=
    if [ ! -e "$file" ]; then note=' new'
    elif [ -s "$file" ] && [ -n "$(tail -c 1 "$file")" ]; then note=' newline'; fi
    { [ "$note" != ' newline' ] || echo; echo "$begin$note"; lines; echo "$end"; } >>"$file"
    echo "git reads ${primaryUrl}/ from ${mirrorUrl}/ now. To take it back: sh setup.sh --undo" ;;
esac
`;
}
