{{/* Of what a user gives that the chart gives too: names, labels, variables, digests, memory. Called by firstword.checks. */}}
{{- define "firstword.releaseChecks" -}}
{{- if not (regexMatch "^[a-z]([a-z0-9-]*[a-z0-9])?$" .Release.Name) -}}
  {{- fail (printf "The release's name is %q, and Services are named after it: they have lower-case letters, digits and dashes, and a letter first. Install it under another name." .Release.Name) -}}
{{- end -}}
{{- $ours := fromYaml (include "firstword.labels" .) -}}
{{- range $group, $labels := dict "podMonitor" .Values.monitoring.podMonitor.labels "rules" .Values.monitoring.rules.labels "dashboards" .Values.monitoring.dashboards.labels -}}
  {{- range $key, $_ := $labels -}}
    {{- if hasKey $ours $key -}}
      {{- fail (printf "monitoring.%s.labels: %s is the chart's own; choose another key." $group $key) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- range .Values.pools -}}
  {{- $image := .image | default dict -}}
  {{- if and $image.tag (not (hasKey $image "digest")) $.Values.poolDefaults.image.digest -}}
    {{- fail (printf "pools, %q: image.tag is %s, and it would still run poolDefaults.image.digest, whatever the tag says. Give the pool the digest of its own image, or digest: \"\" to go by the tag." .name $image.tag) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* {at, pool} */}}
{{- define "firstword.labelChecks" -}}
{{- range $group := list "podLabels" "podAnnotations" -}}
  {{- range $key, $_ := index $.pool $group -}}
    {{- if regexMatch "^((app\\.kubernetes\\.io|firstword\\.io|helm\\.sh)/|kubectl\\.kubernetes\\.io/default-container$)" $key -}}
      {{- fail (printf "%s: %s: %s is the chart's own, by which pods are found and described; choose another key." $.at $group $key) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* {at, pool}: a name that is there twice is refused by Helm's server-side apply, and else the later one wins. */}}
{{- define "firstword.envChecks" -}}
{{- $pool := .pool -}}
{{- $instead := dict
  "HF_HUB_OFFLINE" "what is needed is fetched before, unless you set cache.offline"
  "HF_TOKEN" "name its Secret in cache.tokenSecret, so that only what downloads has it"
-}}
{{- range fromYamlArray (include "firstword.cacheEnv" $pool) -}}
  {{- $_ := set $instead .name (ternary "it is on the cache volume; leave it out" "leave it out" (hasPrefix "/cache/" .value)) -}}
{{- end -}}
{{- if gt (int $pool.nodes) 1 -}}
  {{- $_ := set $instead "VLLM_HOST_IP" "nodes of a replica need the pod's address; leave it out" -}}
{{- end -}}
{{- $names := list -}}
{{- range $pool.env -}}
  {{- if has .name $names -}}
    {{- fail (printf "%s: env: two are named %s." $.at .name) -}}
  {{- end -}}
  {{- $names = append $names .name -}}
  {{- if hasPrefix "FIRSTWORD_" .name -}}
    {{- fail (printf "%s: env: %s: settings of the service stand in `settings`, this one as %s (docs/settings.md)." $.at .name (trimPrefix "FIRSTWORD_" .name | lower)) -}}
  {{- end -}}
  {{- with get $instead .name -}}
    {{- fail (printf "%s: env: the chart sets %s: %s." $.at (last $names) .) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* {at, pool}: where both are written as one mostly does. */}}
{{- define "firstword.memoryChecks" -}}
{{- $pool := .pool -}}
{{- $request := include "firstword.bytes" $pool.resources.requests.memory -}}
{{- $limit := include "firstword.bytes" $pool.resources.limits.memory -}}
{{- if and $request $limit (gt (int64 $request) (int64 $limit)) -}}
  {{- fail (printf "%s: resources.requests.memory is %v, and the limit %v: raise resources.limits.memory, or ask for less." .at $pool.resources.requests.memory $pool.resources.limits.memory) -}}
{{- end -}}
{{- if and $limit (gt (mul 2 1073741824 $pool.shmGiB) (int64 $limit)) -}}
  {{- fail (printf "%s: /dev/shm may take %dGi, more than half of resources.limits.memory (%v), and the pod's processes need the rest: raise the limit and the request, or set shmGiB to less." .at (int $pool.shmGiB) $pool.resources.limits.memory) -}}
{{- end -}}
{{- end -}}

{{/* A quantity -> bytes, or nothing. */}}
{{- define "firstword.bytes" -}}
{{- if kindIs "float64" . -}}
{{ int64 . }}
{{- else if regexMatch "^[0-9]+(\\.[0-9]+)?([KMGT]i|[kMGT])?$" (toString .) -}}
{{- $unit := regexFind "[A-Za-z]+$" . -}}
{{- $factors := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{ mulf (trimSuffix $unit . | float64) (get $factors $unit) | int64 }}
{{- end -}}
{{- end -}}
