{{/* Scheduling fields of a pool's pods. Takes {root, pool, role}. */}}
{{- define "firstword.placement" -}}
{{- $pool := .pool -}}
{{- $selector := deepCopy $pool.nodeSelector -}}
{{- if and $pool.gpu.enabled $pool.gpu.product -}}
  {{- $_ := set $selector "nvidia.com/gpu.product" $pool.gpu.product -}}
{{- end -}}
{{- with $selector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $pool.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $pool.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  {{- if $pool.topologySpreadConstraints }}
  {{- toYaml $pool.topologySpreadConstraints | nindent 2 }}
  {{- else }}
  - topologyKey: kubernetes.io/hostname
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "firstword.podLabels" (dict "root" .root "pool" (omit $pool "podLabels") "role" .role) | nindent 8 }}
  {{- end }}
{{- end -}}
