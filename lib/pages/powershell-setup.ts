/** `/-/setup.ps1`: what `/-/setup.sh` does, for Windows PowerShell 5.1 and later. Both find each other's lines. */
import {
  type ClientSetup,
  clientConfig,
  quotable,
  SETUP_OPTIONS,
  type SetupOption,
  USERNAME_PATTERN,
  usernameConfig,
} from "./client-setup.ts";

/** @returns ASCII only: PowerShell 5.1 reads a file without a byte order mark in the system's own encoding. */
export function powershellSetup(setup: ClientSetup): string {
  const { mirrorUrl, primaryUrl } = quotable(setup);
  const names = Object.keys(SETUP_OPTIONS) as SetupOption[];
  const help = [
    ...names.map((name) => [name, SETUP_OPTIONS[name].replaceAll("…", "...")]),
    ["username you,them", "also for remotes with such a username, as https://you@bitbucket.org/..."],
  ];
  return `# Makes git read from the mirror ${mirrorUrl} what remotes name at ${primaryUrl}, in existing clones too; pushes still go there.
# It adds lines to your own git configuration, between two marks, and -Undo takes exactly those out again.
#
#   powershell -ExecutionPolicy Bypass -File setup.ps1 -DryRun    show the lines, and change nothing
#   powershell -ExecutionPolicy Bypass -File setup.ps1            add them, or replace those of an earlier run
#   powershell -ExecutionPolicy Bypass -File setup.ps1 -Undo      take them out
#
# Options of the first two:
${help.map(([name = "", words]) => `#   -${parameter(name).padEnd(18)} ${words}`).join("\n")}
[CmdletBinding()]
param([switch] $DryRun, [switch] $Undo, ${names.map((name) => `[switch] $${parameter(name)}, `).join("")}[string[]] $Username = @())
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
$begin = '# nearside ${mirrorUrl} begin'
$end = '# nearside ${mirrorUrl} end'
# With -File a list arrives as one text.
$Username = @($Username | ForEach-Object { $_ -split ',' })
foreach ($name in $Username) {
  if ($name -cnotmatch '^${USERNAME_PATTERN}$') { throw "setup.ps1: not a username: $name" }
}

# The file that "git config --global" writes.
if ($env:HOME) { $userFolder = $env:HOME }
elseif ($env:HOMEDRIVE -and (Test-Path -LiteralPath "$env:HOMEDRIVE$env:HOMEPATH")) { $userFolder = "$env:HOMEDRIVE$env:HOMEPATH" }
else { $userFolder = $env:USERPROFILE }
if ($env:XDG_CONFIG_HOME) { $xdg = Join-Path $env:XDG_CONFIG_HOME 'git/config' } else { $xdg = Join-Path $userFolder '.config/git/config' }
if ($env:GIT_CONFIG_GLOBAL) { $file = $env:GIT_CONFIG_GLOBAL }
elseif (-not (Test-Path -LiteralPath (Join-Path $userFolder '.gitconfig')) -and (Test-Path -LiteralPath $xdg)) { $file = $xdg }
else { $file = Join-Path $userFolder '.gitconfig' }
# .NET has another current folder than PowerShell.
$file = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($file)

# In this encoding each byte is a character, so that all bytes stay as they are.
$bytes = [Text.Encoding]::GetEncoding(28591)

function Get-Lines {
  $lines = @'
${clientConfig(setup)}'@ + "\`n"
${names
  .map(
    (name) => `  if ($${parameter(name)}) {
    $lines += @'
${clientConfig(setup, name)}'@ + "\`n"
  }
`,
  )
  .join("")}  foreach ($name in $Username) {
    $lines += (@'
${usernameConfig(setup, "{username}")}'@ + "\`n").Replace('{username}', $name)
  }
  return $lines.Replace("\`r\`n", "\`n")
}

function Read-Config {
  if (Test-Path -LiteralPath $file) { return $bytes.GetString([IO.File]::ReadAllBytes($file)) }
  return $null
}

function Remove-Lines {
  $text = Read-Config
  if ($null -eq $text) { return $false }
  $at = 0
  $start = -1
  $note = ''
  foreach ($line in $text.Split([char] 10)) {
    if ($line.StartsWith($begin, [StringComparison]::Ordinal)) {
      $start = $at
      $note = $line.Substring($begin.Length).Trim()
    }
    $at += $line.Length + 1
    # Editors may have changed ends of lines.
    if ($start -lt 0 -or $line.TrimEnd([char] 13) -cne $end) { continue }
    $stop = [Math]::Min($at, $text.Length)
    # Unless there are lines behind by now.
    if ($note -ceq 'newline' -and $stop -eq $text.Length) {
      $start -= 1
      if ($start -gt 0 -and $text[$start - 1] -eq [char] 13) { $start -= 1 }
    }
    $rest = $text.Substring(0, $start) + $text.Substring($stop)
    if ($note -ceq 'new' -and $rest -ceq '') { Remove-Item -LiteralPath $file }
    else { [IO.File]::WriteAllBytes($file, $bytes.GetBytes($rest)) }
    return $true
  }
  if ($text.Contains($begin) -or $text.Contains($end)) {
    throw "setup.ps1: $file has one mark of the mirror without the other: remove its lines by hand"
  }
  return $false
}

if ($DryRun) {
  Write-Output "These lines would be in \${file}:"
  Write-Output (Get-Lines)
} elseif ($Undo) {
  if (Remove-Lines) { Write-Output "$file has no lines of the mirror any more." }
  else { Write-Output "$file has no lines of this mirror (${mirrorUrl}): nothing was changed." }
} else {
  [void] (Remove-Lines)
  $text = Read-Config
  $note = ''
  if ($null -eq $text) {
    $note = ' new'
    $text = ''
  } elseif ($text -cne '' -and $text[$text.Length - 1] -cne [char] 10) {
    $note = ' newline'
    $text += "\`n"
  }
  [IO.File]::WriteAllBytes($file, $bytes.GetBytes($text + $begin + $note + "\`n" + (Get-Lines) + $end + "\`n"))
  Write-Output "git reads ${primaryUrl}/ from ${mirrorUrl}/ now. To take it back: setup.ps1 -Undo"
}
`;
}

function parameter(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}
