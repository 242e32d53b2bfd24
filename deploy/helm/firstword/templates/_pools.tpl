{{/*
The pools, each merged over `poolDefaults`, with derived fields. The result is JSON: read it with `fromJsonArray (include
"firstword.pools" $)`. The derived fields are:

  fullname      name of the pool's objects
  imageRef      image of its pods
  isHub         whether the model comes from the model hub
  downloads     whether an init container downloads something
  graceSeconds  terminationGracePeriodSeconds: lameduck, drain, stop and 5 s
  shmGiB        size of /dev/shm: 1, and 2 for each GPU of the pod (it holds the message queues of NCCL and vLLM)
  cacheKey      folder of the compiled code, which is valid for one kind of GPU and one image
  url           URL that callers use
*/}}
{{- define "firstword.pools" -}}
{{- $pools := list -}}
{{- range $given := .Values.pools -}}
  {{- $pool := mustMergeOverwrite (deepCopy $.Values.poolDefaults) $given -}}
  {{- $_ := set $pool "fullname" (printf "%s-%s" (include "firstword.fullname" $) $pool.name) -}}
  {{- $_ := set $pool "resources" (fromJson (include "firstword.withoutNulls" $pool.resources)) -}}
  {{- $kind := ternary "gpu" "cpu" $pool.gpu.enabled -}}
  {{- $_ := set $pool "imageRef" (include "firstword.image" (dict "root" $ "image" $pool.image "kind" $kind)) -}}
  {{- $isHub := not (or (eq $pool.model.name "embedded") (hasPrefix "/" $pool.model.name)) -}}
  {{- $_ := set $pool "isHub" $isHub -}}
  {{- $hubAdapters := false -}}
  {{- range $pool.adapters -}}{{- if .repo -}}{{- $hubAdapters = true -}}{{- end -}}{{- end -}}
  {{- $_ := set $pool "downloads" (and (or $isHub $hubAdapters) (not $pool.cache.offline)) -}}
  {{- with $pool.lifecycle -}}
    {{- $_ := set $pool "graceSeconds" (add .lameduckSeconds .drainSeconds .stopSeconds 5) -}}
  {{- end -}}
  {{- if not (int $pool.shmGiB) -}}
    {{- $_ := set $pool "shmGiB" (add 1 (mul 2 (ternary $pool.gpu.count 0 $pool.gpu.enabled))) -}}
  {{- end -}}
  {{- $gpu := ternary ($pool.gpu.product | default $pool.gpu.resource) "cpu" $pool.gpu.enabled -}}
  {{- $_ := set $pool "cacheKey" (printf "%s-%s" $gpu (sha256sum $pool.imageRef | trunc 12) | replace "/" "-") -}}
  {{- $service := printf "http://%s.%s.svc" $pool.fullname $.Release.Namespace -}}
  {{- $isOutside := and $pool.hostname (or $.Values.gateway.enabled $.Values.ingress.enabled) -}}
  {{- $_ := set $pool "service" $service -}}
  {{- $_ := set $pool "url" (ternary (printf "https://%s" $pool.hostname) $service (not (empty $isOutside))) -}}
  {{- $pools = append $pools $pool -}}
{{- end -}}
{{ toJson $pools }}
{{- end -}}

{{/* Resources without nulls: a null removes a default, either all limits or one of them. */}}
{{- define "firstword.withoutNulls" -}}
{{- $resources := . | default dict -}}
{{- $result := dict -}}
{{- range $kind := list "requests" "limits" -}}
  {{- $said := dict -}}
  {{- range $name, $value := get $resources $kind | default dict -}}
    {{- if not (kindIs "invalid" $value) -}}{{- $_ := set $said $name $value -}}{{- end -}}
  {{- end -}}
  {{- $_ := set $result $kind $said -}}
{{- end -}}
{{ toJson $result }}
{{- end -}}
