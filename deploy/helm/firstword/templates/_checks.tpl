{{/*
What the schema cannot say. Each message names the value and what to change; the first one ends the render.
Called once, where something is always rendered: serviceaccount.yaml.
*/}}
{{- define "firstword.checks" -}}
{{- include "firstword.releaseChecks" . -}}
{{- include "firstword.keyChecks" . -}}
{{- $names := list -}}
{{- range $pool := fromJsonArray (include "firstword.pools" .) -}}
  {{- if has $pool.name $names -}}
    {{- fail (printf "pools: two are named %q; each needs a name of its own." $pool.name) -}}
  {{- end -}}
  {{- $names = append $names $pool.name -}}
  {{- $at := printf "pools, %q" $pool.name -}}
  {{- include "firstword.poolChecks" (dict "at" $at "pool" $pool) -}}
  {{- include "firstword.cacheChecks" (dict "at" $at "pool" $pool) -}}
  {{- include "firstword.labelChecks" (dict "at" $at "pool" $pool) -}}
  {{- include "firstword.envChecks" (dict "at" $at "pool" $pool) -}}
  {{- include "firstword.memoryChecks" (dict "at" $at "pool" $pool) -}}
{{- end -}}
{{- if eq (int .Values.securityContext.runAsUser) 0 -}}
  {{- fail "securityContext.runAsUser: 0 is root; take any other, or -1 for whom the cluster chooses." -}}
{{- end -}}
{{- include "firstword.edgeChecks" . -}}
{{- end -}}

{{- define "firstword.keyChecks" -}}
{{- $ways := list -}}
{{- if .Values.keys.existingSecret -}}{{- $ways = append $ways "keys.existingSecret" -}}{{- end -}}
{{- if .Values.keys.generate -}}{{- $ways = append $ways "keys.generate" -}}{{- end -}}
{{- if .Values.keys.externalSecret.enabled -}}{{- $ways = append $ways "keys.externalSecret.enabled" -}}{{- end -}}
{{- if not $ways -}}
  {{- fail "keys: nobody could call. Set keys.existingSecret to a Secret with a key file (`firstword keys add` makes one), or keys.generate to true for a random key, or keys.externalSecret." -}}
{{- else if gt (len $ways) 1 -}}
  {{- fail (printf "keys: %s are set; choose one." (join " and " $ways)) -}}
{{- end -}}
{{- if eq .Values.keys.fileKey .Values.keys.plainKey -}}
  {{- fail (printf "keys: fileKey and plainKey are both %q; the Secret has the key file and the plain key under two names." .Values.keys.fileKey) -}}
{{- end -}}
{{- with .Values.keys.externalSecret -}}
  {{- if and .enabled (not (and .storeName .remoteKey)) -}}
    {{- fail "keys.externalSecret: storeName and remoteKey are needed: which store, and which entry of it." -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{- define "firstword.poolChecks" -}}
{{- $pool := .pool -}}
{{- if and $pool.gpu.enabled (lt (int $pool.gpu.count) 1) -}}
  {{- fail (printf "%s: gpu.count is 0, and a GPU pool needs at least 1. For a pool without GPUs set gpu.enabled to false." .at) -}}
{{- end -}}
{{- if and (gt (int $pool.nodes) 1) (not $pool.gpu.enabled) -}}
  {{- fail (printf "%s: nodes is %d, and only GPU pools span nodes: set gpu.enabled to true or nodes to 1." .at (int $pool.nodes)) -}}
{{- end -}}
{{- if gt (len $pool.fullname) 52 -}}
  {{- fail (printf "%s: the objects would be named %s, %d characters long, and 52 is the most: shorten the release's or the pool's name." .at $pool.fullname (len $pool.fullname)) -}}
{{- end -}}
{{- if regexMatch "^(dashboard|loadtest)-" $pool.name -}}
  {{- fail (printf "%s: objects of the chart's own have such names; choose one that does not begin with dashboard- or loadtest-." .at) -}}
{{- end -}}
{{- $adapters := list -}}
{{- $models := prepend $pool.model.aliases (include "firstword.modelId" $pool) -}}
{{- range $adapter := $pool.adapters -}}
  {{- if eq (empty $adapter.repo) (empty $adapter.path) -}}
    {{- fail (printf "%s: adapter %q needs either repo or path." $.at $adapter.name) -}}
  {{- end -}}
  {{- if has $adapter.name $models -}}
    {{- fail (printf "%s: adapter %q has a name of the model itself (%s), and callers choose by name: rename it." $.at $adapter.name (join ", " $models)) -}}
  {{- end -}}
  {{- if has $adapter.name $adapters -}}
    {{- fail (printf "%s: two adapters are named %q." $.at $adapter.name) -}}
  {{- end -}}
  {{- $adapters = append $adapters $adapter.name -}}
{{- end -}}
{{- end -}}

{{- define "firstword.cacheChecks" -}}
{{- $pool := .pool -}}
{{- $cache := $pool.cache -}}
{{- if and (eq $cache.type "existing") (not $cache.existingClaim) -}}
  {{- fail (printf "%s: cache.type is existing: set cache.existingClaim to the PersistentVolumeClaim's name." .at) -}}
{{- end -}}
{{- if and $cache.existingClaim (ne $cache.type "existing") -}}
  {{- fail (printf "%s: cache.existingClaim is set, so set cache.type to existing (it is %s)." .at $cache.type) -}}
{{- end -}}
{{- if and $cache.offline (has $cache.type (list "emptyDir" "perReplica")) $pool.isHub -}}
  {{- fail (printf "%s: cache.offline is set, and a new volume of cache.type %s is empty: use a claim that holds the model." .at $cache.type) -}}
{{- end -}}
{{- $most := ternary $pool.autoscaling.maxReplicas $pool.replicas $pool.autoscaling.enabled | int -}}
{{- if and (eq $cache.type "claim") (ne $cache.accessMode "ReadWriteMany") -}}
  {{- if or (gt $most 1) (gt (int $pool.nodes) 1) $pool.rollout.spareGpus -}}
    {{- fail (printf "%s: several pods would share a %s volume: set cache.accessMode to ReadWriteMany, or cache.type to perReplica." .at $cache.accessMode) -}}
  {{- end -}}
{{- end -}}
{{- end -}}
