{{/* Checks of values that the chart sets too: names, labels, variables, digests, memory. firstword.checks calls them.
service/preflight/checks/chart_rules.py has the same rules. */}}
{{- define "firstword.releaseChecks" -}}
{{- if not (regexMatch "^[a-z]([a-z0-9-]*[a-z0-9])?$" .Release.Name) -}}
  {{- fail (printf "The release name %q is not valid for the names of Services. Choose a name of lower-case letters, digits and dashes that begins with a letter." .Release.Name) -}}
{{- end -}}
{{- $ours := fromYaml (include "firstword.labels" .) -}}
{{- range $group, $labels := dict "podMonitor" .Values.monitoring.podMonitor.labels "rules" .Values.monitoring.rules.labels "dashboards" .Values.monitoring.dashboards.labels -}}
  {{- range $key, $_ := $labels -}}
    {{- if hasKey $ours $key -}}
      {{- fail (printf "monitoring.%s.labels: the chart sets %s. Choose another key." $group $key) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- range .Values.pools -}}
  {{- $image := .image | default dict -}}
  {{- if and $image.tag (not (hasKey $image "digest")) $.Values.poolDefaults.image.digest -}}
    {{- fail (printf "pools, %q: image.tag is %s, but poolDefaults.image.digest takes precedence. Set the pool's image.digest to the digest of its image, or to \"\" to use the tag." .name $image.tag) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* {at, pool} */}}
{{- define "firstword.labelChecks" -}}
{{- range $group := list "podLabels" "podAnnotations" -}}
  {{- range $key, $_ := index $.pool $group -}}
    {{- if regexMatch "^((app\\.kubernetes\\.io|firstword\\.io|helm\\.sh)/|kubectl\\.kubernetes\\.io/default-container$)" $key -}}
      {{- fail (printf "%s: %s: the chart sets %s. Choose another key." $.at $group $key) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* {at, pool}. Helm's server-side apply refuses a duplicate name. With client-side apply the later one would win. */}}
{{- define "firstword.envChecks" -}}
{{- $pool := .pool -}}
{{- $instead := dict
  "HF_HUB_OFFLINE" "Remove it. To download nothing, set cache.offline"
  "HF_TOKEN" "Set cache.tokenSecret. Then only the container that downloads gets the token"
-}}
{{- range fromYamlArray (include "firstword.cacheEnv" $pool) -}}
  {{- $_ := set $instead .name (ternary "Remove it. The path must be on the cache volume" "Remove it" (hasPrefix "/cache/" .value)) -}}
{{- end -}}
{{- if gt (int $pool.nodes) 1 -}}
  {{- $_ := set $instead "VLLM_HOST_IP" "Remove it. The nodes of a replica need the pod's address" -}}
{{- end -}}
{{- $names := list -}}
{{- range $pool.env -}}
  {{- if has .name $names -}}
    {{- fail (printf "%s: env: the variable %s is set twice. Remove one of them." $.at .name) -}}
  {{- end -}}
  {{- $names = append $names .name -}}
  {{- if hasPrefix "FIRSTWORD_" .name -}}
    {{- fail (printf "%s: env: %s is a setting of the service. Set it in `settings` as %s (docs/settings.md)." $.at .name (trimPrefix "FIRSTWORD_" .name | lower)) -}}
  {{- end -}}
  {{- with get $instead .name -}}
    {{- fail (printf "%s: env: the chart sets %s. %s." $.at (last $names) .) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* {at, pool}. Skips quantities that firstword.bytes cannot read. */}}
{{- define "firstword.memoryChecks" -}}
{{- $pool := .pool -}}
{{- $request := include "firstword.bytes" $pool.resources.requests.memory -}}
{{- $limit := include "firstword.bytes" $pool.resources.limits.memory -}}
{{- if and $request $limit (gt (int64 $request) (int64 $limit)) -}}
  {{- fail (printf "%s: resources.requests.memory is %v, above resources.limits.memory, which is %v. Raise the limit, or lower the request." .at $pool.resources.requests.memory $pool.resources.limits.memory) -}}
{{- end -}}
{{- if and $limit (gt (mul 2 1073741824 $pool.shmGiB) (int64 $limit)) -}}
  {{- fail (printf "%s: shared memory may take %dGi, more than half of resources.limits.memory, which is %v. Raise the memory limit and request, or lower shmGiB. The pod's processes need the rest." .at (int $pool.shmGiB) $pool.resources.limits.memory) -}}
{{- end -}}
{{- end -}}

{{/* A quantity -> bytes. Nothing when it is not in one of the usual forms. */}}
{{- define "firstword.bytes" -}}
{{- if kindIs "float64" . -}}
{{ int64 . }}
{{- else if regexMatch "^[0-9]+(\\.[0-9]+)?([KMGT]i|[kMGT])?$" (toString .) -}}
{{- $unit := regexFind "[A-Za-z]+$" . -}}
{{- $factors := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{ mulf (trimSuffix $unit . | float64) (get $factors $unit) | int64 }}
{{- end -}}
{{- end -}}
