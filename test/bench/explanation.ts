/** What `npm run bench -- --help` says besides the options. */
export const EXPLANATION = `
Rows of the servers' side; the request is one that stock git has sent, recorded, and its answer is dropped:
  full-clone         git clone --mirror: the request for the pack, as in all of these
  eight-full-clones  the same by eight clients at once
  clone-again        full-clone five times in a row, by a server that has made such an answer before: CPU s is of one
  small-clones       all requests of git clone --mirror, of 100 commits, by 32 clients at once; -2 and -4: by so many processes of
                     the mirror over one store. wall s is of 32 clones
  depth-1            git clone --depth 1
  depth-50           git clone --depth 50 --single-branch
  blob-none          git clone --mirror --filter=blob:none
  tree-0             git clone --mirror --filter=tree:0
  behind-<n>         git fetch in a clone that is <n> pushes behind, of a mirror that has followed push by push: the last
                     request, which names what the client has. A push is one commit of the default branch's own
                     line, with what it merges and the tags on that
  behind-<n>-first-pack  the same of a mirror that has got all in its first pack
  nothing-new        all requests of a git fetch where nothing is new
  ls-refs            git ls-remote: the request for all refs
  against git http-backend, behind nginx and fcgiwrap (Debian: apt-get install nginx-light fcgiwrap), on a copy of the
  repository in one pack with commit-graph and bitmaps; and, for the bytes, on one without bitmaps
Rows of the client's side: the whole command, with its Node, beside git clone of the same address of the mirror:
  nearside-clone     nearside clone --no-checkout
  nearside-clone-checkout  with the checkout, on both sides
  nearside-clone-verify  nearside clone --no-checkout --verify, beside git clone --no-checkout
Rows of what comes before:
  index              a pack on disk gets its index; against git index-pack
  ingest             a first sync, without its network; against git index-pack --stdin, git rev-list --objects --all and
                     git repack -adb
  sliced-import      a first sync in slices from git http-backend; in git's place the same sync by one fetch

Rows of the mirror alone, which need no --repo:
  push-visible       npm start, 500 pushes sent by webhooks, one after the other: from the webhook until a client that
                     lists the refs gets the new commit. p50Ms and p99Ms: the median and the 99th percentile, in milliseconds,
                     without the time in which the primary, a stand-in, was answering the mirror
  lfs-batch, lfs-batch-s3  a batch of 100 stored LFS files, warm, over a folder and over an S3 server in the same process
  start-authorizer, start-git-http  Node 24 loads the bundle of the function as deployed: p50Ms is the median of 15 starts beyond
                     that of Node without code, in turns
  first-byte-cold    the git function starts under AWS's runtime client (NEARSIDE_RIC names it) and answers a clone from an S3 server: from
                     the spawn to the answer's first byte, beyond a start of Node without code
Rows of git-lfs, which need no --repo, and nginx with a server of batches in Node in place of git:
  lfs-pull           git lfs fetch of 1,000 files of 100 KB and one of 1 GB: of the whole client
  lfs-pull-throttled the same from the whole mirror, as npm start runs it, over a Bitbucket that sends files at 1 MB/s, once all are copied
  lfs-pull-small     of 3,000 files of 1 KB
  lfs-sync           nearside sync of 3,000 LFS files up to 1 MB and one of 3 GB from a fake Bitbucket; in git's place git lfs fetch
                     from the same one
Row of the indexer, which needs no --repo:
  lfs-index          a pack of 50,000 pointers of git-lfs gets its index; in git's place the same of 50,000 other blobs of that size

Both sides run in turns. Each has a warm-up run first, in which the results of both are checked: a client ends with the same.
A ratio is the mirror's median over git's, so below 1 the mirror is better.
  wall s        of the whole process; of the servers' rows: from sending the request to the answer's last byte
  CPU s         of all processes; rounded to 0.01 s a run. nginx, which passes git's answer on, is left out
  MB            written index; stored files; answer
  peak MB       largest sum of the processes' resident sets, mapped files included, looked at every 10 ms
  anonymous MB  the same without mapped files
  requests      what the mirror asked of its store; rounds: the longest chain of requests that waited for each other
Lines: "slower" is the mirror with --store-latency-ms added to each request to its store; "cold" is the first request that
its process serves. These don't count for the ratio.

--keep <folder> keeps packed copies and filled stores. A thousand syncs take minutes; they are done anew when the code that
fills stores has changed.
--table <file> sets a goal beside each ratio, and those that are missed in bold.

--smoke proves that the bench works, on a small repository of its own: its figures mean nothing. It needs no web server.`;
