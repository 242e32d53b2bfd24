{{/*
Rules that the schema cannot express. Each message names the value and what to change. The first failure stops the rendering.
serviceaccount.yaml calls these checks once, because it is always rendered.
*/}}
{{- define "firstword.checks" -}}
{{- include "firstword.releaseChecks" . -}}
{{- include "firstword.keyChecks" . -}}
{{- $names := list -}}
{{- range $pool := fromJsonArray (include "firstword.pools" .) -}}
  {{- if has $pool.name $names -}}
    {{- fail (printf "pools: two pools have the name %q. Give each pool a different name." $pool.name) -}}
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
  {{- fail "securityContext.runAsUser is 0, which is root. Set another user ID, or -1 to let the cluster choose." -}}
{{- end -}}
{{- include "firstword.edgeChecks" . -}}
{{- end -}}

{{- define "firstword.keyChecks" -}}
{{- $ways := list -}}
{{- if .Values.keys.existingSecret -}}{{- $ways = append $ways "keys.existingSecret" -}}{{- end -}}
{{- if .Values.keys.generate -}}{{- $ways = append $ways "keys.generate" -}}{{- end -}}
{{- if .Values.keys.externalSecret.enabled -}}{{- $ways = append $ways "keys.externalSecret.enabled" -}}{{- end -}}
{{- if not $ways -}}
  {{- fail "keys: no source of API keys is set, so no caller could authenticate. Set keys.existingSecret to a Secret with a key file (`firstword keys add` makes one), or keys.generate to true for a random key, or keys.externalSecret." -}}
{{- else if gt (len $ways) 1 -}}
  {{- fail (printf "keys: %s are set, and exactly one is allowed. Keep one of them." (join " and " $ways)) -}}
{{- end -}}
{{- if eq .Values.keys.fileKey .Values.keys.plainKey -}}
  {{- fail (printf "keys: fileKey and plainKey are both %q. Set them to two different keys of the Secret." .Values.keys.fileKey) -}}
{{- end -}}
{{- with .Values.keys.externalSecret -}}
  {{- if and .enabled (not (and .storeName .remoteKey)) -}}
    {{- fail "keys.externalSecret: storeName and remoteKey are required. Set storeName to the store, and remoteKey to its entry." -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{- define "firstword.poolChecks" -}}
{{- $pool := .pool -}}
{{- if and $pool.gpu.enabled (lt (int $pool.gpu.count) 1) -}}
  {{- fail (printf "%s: gpu.count is 0, and a GPU pool needs at least 1. Raise gpu.count, or set gpu.enabled to false." .at) -}}
{{- end -}}
{{- if and (gt (int $pool.nodes) 1) (not $pool.gpu.enabled) -}}
  {{- fail (printf "%s: nodes is %d, and a pool without GPUs needs 1. Set gpu.enabled to true, or nodes to 1." .at (int $pool.nodes)) -}}
{{- end -}}
{{- if gt (len $pool.fullname) 52 -}}
  {{- fail (printf "%s: the object name %s has %d characters, and the limit is 52. Shorten the release name or the pool name." .at $pool.fullname (len $pool.fullname)) -}}
{{- end -}}
{{- if regexMatch "^(dashboard|loadtest)-" $pool.name -}}
  {{- fail (printf "%s: the pool name has a prefix of the chart's own objects. Choose a name that does not begin with dashboard- or loadtest-." .at) -}}
{{- end -}}
{{- $adapters := list -}}
{{- $models := prepend $pool.model.aliases (include "firstword.modelId" $pool) -}}
{{- range $adapter := $pool.adapters -}}
  {{- if eq (empty $adapter.repo) (empty $adapter.path) -}}
    {{- fail (printf "%s: the adapter %q needs either repo or path. Set exactly one of the two." $.at $adapter.name) -}}
  {{- end -}}
  {{- if has $adapter.name $models -}}
    {{- fail (printf "%s: the adapter %q has a name of the model itself (%s). Rename it. Callers choose an adapter by its name." $.at $adapter.name (join ", " $models)) -}}
  {{- end -}}
  {{- if has $adapter.name $adapters -}}
    {{- fail (printf "%s: two adapters have the name %q. Rename one. Callers choose an adapter by its name." $.at $adapter.name) -}}
  {{- end -}}
  {{- $adapters = append $adapters $adapter.name -}}
{{- end -}}
{{- end -}}

{{- define "firstword.cacheChecks" -}}
{{- $pool := .pool -}}
{{- $cache := $pool.cache -}}
{{- if and (eq $cache.type "existing") (not $cache.existingClaim) -}}
  {{- fail (printf "%s: cache.type is existing, and cache.existingClaim is empty. Set it to the name of your PersistentVolumeClaim." .at) -}}
{{- end -}}
{{- if and $cache.existingClaim (ne $cache.type "existing") -}}
  {{- fail (printf "%s: cache.existingClaim is set, and cache.type is %s. Set cache.type to existing, or remove cache.existingClaim." .at $cache.type) -}}
{{- end -}}
{{- if and $cache.offline (has $cache.type (list "emptyDir" "perReplica")) $pool.isHub -}}
  {{- fail (printf "%s: cache.offline is true, and a new volume of cache.type %s is empty. Set cache.type to claim or existing, with a claim that holds the model." .at $cache.type) -}}
{{- end -}}
{{- $most := ternary $pool.autoscaling.maxReplicas $pool.replicas $pool.autoscaling.enabled | int -}}
{{- if and (eq $cache.type "claim") (ne $cache.accessMode "ReadWriteMany") -}}
  {{- if or (gt $most 1) (gt (int $pool.nodes) 1) $pool.rollout.spareGpus -}}
    {{- fail (printf "%s: several pods would share a volume, and cache.accessMode is %s. Set cache.accessMode to ReadWriteMany, or cache.type to perReplica." .at $cache.accessMode) -}}
  {{- end -}}
{{- end -}}
{{- end -}}
